//! Where a request holds the gateway key, and how it leaves with the credential instead.
//!
//! Two promises. A gateway key never reaches a provider, wherever it stands in the head. And nothing that a provider could
//! take for a credential of the caller's own passes: every known slot is cleared before the credential is put in. What else
//! stands in the head stays as it is. Leaves out whether a key is valid (`auth`).

use super::target::{QueryEdit, parameter_name, percent_decoded};
use crate::{
    auth::key::{GatewayKey, contains_gateway_key},
    base::secret::Secret,
    providers::provider::{AuthSlot, Provider},
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL},
};

/// Headers that some provider, or a front end of it, takes a credential from.
const SECRET_HEADERS: [&str; 12] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-serverless-authorization",
    "x-goog-iam-authorization-token",
    "x-amz-security-token",
    "ocp-apim-subscription-key",
];

/// Query parameters that some provider, or a front end of it, takes a credential from.
const SECRET_PARAMETERS: [&str; 11] = [
    "key",
    "$key",
    "access_token",
    "$access_token",
    "oauth_token",
    "bearer_token",
    "api_key",
    "api-key",
    "apikey",
    "subscription-key",
    "authorization",
];

/// A WebSocket subprotocol that holds a secret begins so: browsers cannot set headers.
const SECRET_SUBPROTOCOL: &str = "openai-insecure-api-key.";

/// The longest text that is taken for a key, in bytes.
const KEY_BYTES_MAX: usize = 256;

/// What a request presents as its gateway key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// The text in the first accepted slot that holds one. Not checked yet.
    Key(Secret),
    /// No accepted slot holds anything.
    Missing,
    /// A gateway key stands somewhere, but not where this provider takes it.
    Misplaced,
    /// An accepted slot holds what cannot be one key: several, words, no text.
    Unreadable,
}

/// What one slot holds.
enum Slot {
    Empty,
    Text(Secret),
    Unreadable,
}

/// Finds the gateway key in the slots that the provider accepts, in their order.
pub fn present(headers: &HeaderMap, query: Option<&str>, accept: &[AuthSlot]) -> Presented {
    for slot in accept {
        match read_slot(headers, query, slot) {
            Slot::Empty => {}
            Slot::Text(text) => return Presented::Key(text),
            Slot::Unreadable => return Presented::Unreadable,
        }
    }
    let in_headers = headers.iter().any(|(name, value)| name_or_value_holds_key(name, value));
    if in_headers || query.is_some_and(|query| holds_key(query.as_bytes())) {
        Presented::Misplaced
    } else {
        Presented::Missing
    }
}

/// How a provider's callers send their key, for the text of a refusal: "`x-api-key: <key>` or `?key=<key>`".
pub fn describe(accept: &[AuthSlot]) -> String {
    let slots: Vec<String> = accept
        .iter()
        .map(|slot| match slot {
            AuthSlot::Bearer => "`Authorization: Bearer <key>`".to_owned(),
            AuthSlot::Header(name) => format!("`{name}: <key>`"),
            AuthSlot::Query(name) => format!("`?{name}=<key>`"),
            AuthSlot::Subprotocol(prefix) => format!("`Sec-WebSocket-Protocol: {prefix}<key>`"),
        })
        .collect();
    slots.join(" or ")
}

fn read_slot(headers: &HeaderMap, query: Option<&str>, slot: &AuthSlot) -> Slot {
    match slot {
        AuthSlot::Bearer => {
            sole(headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes())).map(Some))
        }
        AuthSlot::Header(name) => sole(headers.get_all(name.as_str()).iter().map(|value| Some(value.as_bytes()))),
        AuthSlot::Query(name) => {
            let pairs = query.into_iter().flat_map(|query| query.split('&'));
            let values: Vec<_> = pairs
                .filter(|pair| parameter_name(pair) == name.as_str())
                .map(|pair| percent_decoded(pair.split_once('=').map_or("", |(_, value)| value)))
                .collect();
            sole(values.iter().map(Option::as_deref))
        }
        AuthSlot::Subprotocol(prefix) => {
            sole(subprotocols(headers).filter_map(|item| split_prefix(item, prefix)).map(Some))
        }
    }
}

/// The one value that is not empty; `None` among the values is one that cannot be read.
fn sole<'v>(values: impl Iterator<Item = Option<&'v [u8]>>) -> Slot {
    let mut held = values.filter(|value| value.is_none_or(|text| !text.trim_ascii().is_empty()));
    match (held.next(), held.next()) {
        (None, _) => Slot::Empty,
        (Some(Some(text)), None) => {
            let text = text.trim_ascii();
            let is_one_word = text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
            match std::str::from_utf8(text) {
                Ok(text) if is_one_word && text.len() <= KEY_BYTES_MAX => Slot::Text(Secret::new(text)),
                _ => Slot::Unreadable,
            }
        }
        _ => Slot::Unreadable,
    }
}

/// The text after `Bearer`; `None` for another scheme, which is no matter of this slot.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let rest = split_prefix(value.trim_ascii(), "bearer")?;
    matches!(rest.first(), None | Some(b' ' | b'\t')).then(|| rest.trim_ascii())
}

/// The items of all `Sec-WebSocket-Protocol` lines.
fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// What follows the prefix, whatever its case.
fn split_prefix<'t>(text: &'t [u8], prefix: &str) -> Option<&'t [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

/// Why a credential cannot be sent: the configuration is wrong. Says nothing of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's credential cannot stand in the slot that it is configured for")]
pub struct BadCredential;

/// How a head is changed before it goes to the provider: remove, then append. Its `Debug` shows no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swap {
    /// Headers of which every line is removed.
    pub remove: Vec<HeaderName>,
    /// Lines that are added after that: what stays of a removed header, and the credential.
    pub append: Vec<(HeaderName, HeaderValue)>,
    /// For `Target::upstream_path`.
    pub query: QueryEdit,
}

impl Swap {
    /// Plans how the gateway key leaves and the credential comes in.
    pub fn plan(headers: &HeaderMap, query: Option<&str>, provider: &Provider) -> Result<Self, BadCredential> {
        let slots = || provider.accept.iter().chain([&provider.inject]);
        let mut swap = Self::default();
        for name in headers.keys() {
            if *name == COOKIE {
                swap.keep_items(headers, name, b';', |crumb| !holds_key(crumb));
            } else if *name == SEC_WEBSOCKET_PROTOCOL {
                swap.keep_items(headers, name, b',', |item| !is_secret_subprotocol(item, slots()));
            } else if is_secret_header(name, slots()) {
                swap.remove.push(name.clone());
            }
        }
        for (name, value) in headers {
            let is_list = *name == COOKIE || *name == SEC_WEBSOCKET_PROTOCOL;
            if !is_list && name_or_value_holds_key(name, value) && !swap.remove.contains(name) {
                swap.remove.push(name.clone());
            }
        }
        let pairs = query.into_iter().flat_map(|query| query.split('&')).enumerate();
        swap.query.cut = pairs.filter(|(_, pair)| is_secret_pair(pair, &slots())).map(|(at, _)| at).collect();
        // Where the key was read from a slot that keeps its place, the credential takes that place. The key stood in the
        // first accepted slot that holds something; what others hold is not the key.
        let stands = |slot: &&AuthSlot| matches!(read_slot(headers, query, slot), Slot::Text(_));
        let keeps = |slot: &&AuthSlot| provider.in_place.contains(slot);
        let slot = provider.accept.iter().find(stands).filter(keeps).unwrap_or(&provider.inject);
        swap.inject(headers, slot, &provider.credential)?;
        Ok(swap)
    }

    /// Leaves only the wanted items of a header that is a list; untouched when all of them are.
    fn keep_items(&mut self, headers: &HeaderMap, name: &HeaderName, mark: u8, wanted: impl Fn(&[u8]) -> bool) {
        let lines = || headers.get_all(name).iter().map(HeaderValue::as_bytes);
        if lines().all(|line| line.split(|&byte| byte == mark).all(&wanted) && !holds_key(line)) {
            return;
        }
        self.remove.push(name.clone());
        for line in lines() {
            let items: Vec<&[u8]> = line.split(|&byte| byte == mark).filter(|item| wanted(item)).collect();
            let line = items.join(&mark);
            let line = line.trim_ascii();
            if line.is_empty() || holds_key(line) {
                continue;
            }
            self.append.extend(HeaderValue::from_bytes(line).ok().map(|line| (name.clone(), line)));
        }
    }

    fn inject(&mut self, headers: &HeaderMap, slot: &AuthSlot, credential: &Secret) -> Result<(), BadCredential> {
        let secret_value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| BadCredential)?;
            value.set_sensitive(true);
            Ok(value)
        };
        match slot {
            AuthSlot::Bearer => {
                self.append.push((AUTHORIZATION, secret_value(&format!("Bearer {}", credential.expose()))?));
            }
            AuthSlot::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadCredential)?;
                self.append.push((name, secret_value(credential.expose())?));
            }
            AuthSlot::Query(name) => {
                let mut pair = form_urlencoded::Serializer::new(String::new());
                pair.append_pair(name, credential.expose());
                self.query.append = Some(Secret::new(pair.finish()));
            }
            AuthSlot::Subprotocol(prefix) => {
                let item = format!("{prefix}{}", credential.expose());
                self.append_subprotocol(headers, &item, secret_value)?;
            }
        }
        Ok(())
    }

    /// Puts an item behind the subprotocols that stay, in one line: some servers read only the first.
    fn append_subprotocol(
        &mut self,
        headers: &HeaderMap,
        item: &str,
        secret_value: impl Fn(&str) -> Result<HeaderValue, BadCredential>,
    ) -> Result<(), BadCredential> {
        if !item.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
            return Err(BadCredential);
        }
        let is_edited = self.remove.contains(&SEC_WEBSOCKET_PROTOCOL);
        let kept = self.append.iter().filter(|(name, _)| *name == SEC_WEBSOCKET_PROTOCOL).map(|(_, line)| line);
        let lines: Vec<&HeaderValue> =
            if is_edited { kept.collect() } else { headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect() };
        let mut items: Vec<&str> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
        items.push(item);
        let line = secret_value(&items.join(", "))?;
        self.append.retain(|(name, _)| *name != SEC_WEBSOCKET_PROTOCOL);
        if !is_edited {
            self.remove.push(SEC_WEBSOCKET_PROTOCOL);
        }
        self.append.push((SEC_WEBSOCKET_PROTOCOL, line));
        Ok(())
    }
}

/// Whether a header is an auth slot. Servers that hand headers on as variables (CGI, WSGI) read `_` as `-`.
fn is_secret_header<'s>(name: &HeaderName, mut slots: impl Iterator<Item = &'s AuthSlot>) -> bool {
    let name = name.as_str();
    let dashed;
    let name = if name.contains('_') {
        dashed = name.replace('_', "-");
        dashed.as_str()
    } else {
        name
    };
    SECRET_HEADERS.contains(&name)
        || slots.any(|slot| matches!(slot, AuthSlot::Header(known) if known.eq_ignore_ascii_case(name)))
}

fn is_secret_subprotocol<'s>(item: &[u8], mut slots: impl Iterator<Item = &'s AuthSlot>) -> bool {
    let item = item.trim_ascii();
    let begins = |prefix: &str| split_prefix(item, prefix).is_some();
    begins(SECRET_SUBPROTOCOL)
        || slots.any(|slot| matches!(slot, AuthSlot::Subprotocol(prefix) if begins(prefix)))
        || holds_key(item)
}

fn is_secret_pair<'s>(pair: &str, slots: &(impl Iterator<Item = &'s AuthSlot> + Clone)) -> bool {
    let is_slot = |name: &str| {
        SECRET_PARAMETERS.iter().any(|known| known.eq_ignore_ascii_case(name))
            || slots.clone().any(|slot| matches!(slot, AuthSlot::Query(known) if known.eq_ignore_ascii_case(name)))
    };
    // some servers split at `;`, too
    pair.split(';').any(|part| is_slot(parameter_name(part).trim())) || holds_key(pair.as_bytes())
}

fn name_or_value_holds_key(name: &HeaderName, value: &HeaderValue) -> bool {
    holds_key(name.as_str().as_bytes()) || holds_key(value.as_bytes())
}

/// Whether a gateway key stands in the text, as it is or percent-encoded.
pub(super) fn holds_key(text: &[u8]) -> bool {
    if contains_gateway_key(text) {
        return true;
    }
    if text.len() < GatewayKey::BYTES_MIN || !text.contains(&b'%') {
        return false;
    }
    let decoded = form_urlencoded::parse(text);
    decoded
        .into_iter()
        .any(|(name, value)| contains_gateway_key(name.as_bytes()) || contains_gateway_key(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{clock::Duration, ids::ProviderName},
        providers::provider::{Dialect, Timeouts, Upstream},
    };
    use proptest::prelude::*;

    const KEY: &str = "gw_live_0123456789abcdef0123456789abcdef0123456789abcdef";

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            map.append(name, value);
        }
        map
    }

    fn provider(accept: Vec<AuthSlot>, inject: AuthSlot) -> Provider {
        let second = Duration::from_secs(1);
        let timeouts = Timeouts { connect: second, connect_total: second, read: second, write: second, idle: second };
        Provider {
            name: ProviderName::new("p"),
            upstream: Upstream {
                tls: true,
                host: "p.test".into(),
                port: 443,
                base_path: String::new(),
                verify_tls: true,
            },
            dialect: Dialect::OpenAi,
            credential: Secret::new("sk-real+/="),
            accept,
            inject,
            in_place: Vec::new(),
            endpoints: Vec::new(),
            timeouts,
            strip_attribution: false,
            drain: None,
        }
    }

    fn all_slots() -> Vec<AuthSlot> {
        vec![
            AuthSlot::Header("x-goog-api-key".into()),
            AuthSlot::Bearer,
            AuthSlot::Query("key".into()),
            AuthSlot::Subprotocol(SECRET_SUBPROTOCOL.into()),
        ]
    }

    /// A head after the swap, as the proxy applies it.
    fn swapped(lines: &[(&str, &str)], query: Option<&str>, provider: &Provider) -> (HeaderMap, Swap) {
        let mut map = headers(lines);
        let swap = Swap::plan(&map, query, provider).unwrap();
        for name in &swap.remove {
            map.remove(name);
        }
        for (name, value) in &swap.append {
            map.append(name, value.clone());
        }
        (map, swap)
    }

    #[test]
    fn the_key_is_read_from_the_first_accepted_slot_that_holds_something() {
        let protocols = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
        let (bearer, query) = (format!("Bearer {KEY}"), format!("alt=sse&key={KEY}"));
        let found: [(&[(&str, &str)], Option<&str>); 10] = [
            (&[("x-goog-api-key", KEY), ("authorization", "Bearer other")], None),
            (&[("authorization", &bearer)], None),
            (&[("authorization", &format!("bEARER \t  {KEY}  "))], None),
            (&[("authorization", &bearer), ("authorization", "")], None),
            (&[("authorization", "Basic Zm9v"), ("authorization", &bearer)], None),
            (&[("x-goog-api-key", " "), ("authorization", &bearer)], None),
            (&[("authorization", "Bearer"), ("sec-websocket-protocol", &protocols)], None),
            (&[("sec-websocket-protocol", "realtime"), ("sec-websocket-protocol", &protocols)], None),
            (&[], Some(&query)),
            (&[], Some(&query.replace("key", "k%65y").replace('_', "%5F"))),
        ];
        for (lines, query) in found {
            let presented = present(&headers(lines), query, &all_slots());
            assert_eq!(presented, Presented::Key(Secret::new(KEY)), "{lines:?} {query:?}");
        }
    }

    #[test]
    fn what_is_no_single_key_in_an_accepted_slot_is_not_guessed_at() {
        let (bearer, twice) = (format!("Bearer {KEY}"), format!("Bearer {KEY}, Bearer {KEY}"));
        let protocols = format!("openai-insecure-api-key.{KEY},openai-insecure-api-key.x");
        let (query, basic) = (format!("key={KEY}&key=x"), format!("Basic {KEY}"));
        let long = format!("Bearer {}", "x".repeat(KEY_BYTES_MAX + 1));
        let cases: [(&[(&str, &str)], Option<&str>, Presented); 14] = [
            (&[("authorization", &bearer), ("authorization", &bearer)], None, Presented::Unreadable),
            (&[("authorization", &twice)], None, Presented::Unreadable),
            (&[("authorization", "Bearer a b")], None, Presented::Unreadable),
            (&[("authorization", "Bearer caf\u{e9}")], None, Presented::Unreadable),
            (&[("authorization", &long)], None, Presented::Unreadable),
            (&[("sec-websocket-protocol", &protocols)], None, Presented::Unreadable),
            (&[], Some(&query), Presented::Unreadable),
            (&[], Some("key=%zz"), Presented::Unreadable),
            (&[("authorization", KEY)], None, Presented::Misplaced),
            (&[("authorization", &basic)], None, Presented::Misplaced),
            (&[("x-api-key", KEY)], None, Presented::Misplaced),
            (&[], Some(&query.replace("key=", "token=")), Presented::Misplaced),
            (&[("authorization", "Basic Zm9v"), ("x-goog-api-key", "")], Some("key=&a=b"), Presented::Missing),
            (&[("authorization", "Bearer ")], None, Presented::Missing),
        ];
        for (lines, query, expected) in cases {
            assert_eq!(present(&headers(lines), query, &all_slots()), expected, "{lines:?} {query:?}");
        }
        let head = headers(&[("authorization", &bearer)]);
        assert_eq!(present(&head, None, &[AuthSlot::Header("x-api-key".into())]), Presented::Misplaced);
    }

    #[test]
    fn every_slot_is_cleared_and_all_else_stays() {
        let provider = provider(vec![AuthSlot::Header("x-own-key".into())], AuthSlot::Bearer);
        let encoded = KEY.replace('_', "%5f");
        let lines = [
            ("authorization", "Bearer mine"),
            ("proxy-authorization", "Basic x"),
            ("x-api-key", "mine"),
            ("x_goog_api_key", "mine"),
            ("api-key", "mine"),
            ("x-own-key", KEY),
            ("x_own_key", "mine"),
            ("x-note", &format!("see {KEY}!")),
            ("referer", &format!("https://x.test/?k={encoded}")),
            (KEY, "1"),
            ("cookie", &format!("a=1; b={KEY}; c=3")),
            ("cookie", "d=4"),
            ("cookie", &format!("e={encoded}")),
            ("anthropic-beta", "one"),
            ("anthropic-beta", "two"),
            ("x-attr-key", "gw_live_01234567"),
            ("traceparent", "00-1-2-00"),
        ];
        let query = format!("alt=sse&&key=mine&x={KEY}&access%5Ftoken=t&API_KEY=1&a=1;key=2&monkey=3&y={encoded}");
        let (map, swap) = swapped(&lines, Some(&query), &provider);
        let all = |name: &str| map.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("authorization"), ["Bearer sk-real+/="]);
        assert_eq!(all("cookie"), ["a=1; c=3", "d=4"]);
        assert_eq!(all("anthropic-beta"), ["one", "two"]);
        assert_eq!(all("x-attr-key"), ["gw_live_01234567"]);
        assert_eq!(map.keys_len(), 5, "{map:?}");
        assert_eq!(swap.query.cut, [2, 3, 4, 5, 6, 8]);
        assert!(!swap.remove.contains(&HeaderName::from_static("anthropic-beta")));
    }

    #[test]
    fn a_head_without_secrets_is_only_given_the_credential() {
        let provider = provider(vec![AuthSlot::Bearer], AuthSlot::Header("x-api-key".into()));
        let lines = [("cookie", "a=1;b=2"), ("sec-websocket-protocol", "realtime,x"), ("accept", "*/*")];
        let swap = Swap::plan(&headers(&lines), Some("a=b&monkey=1"), &provider).unwrap();
        assert_eq!((swap.remove.len(), swap.append.len()), (0, 1));
        assert_eq!(swap.query, QueryEdit::default());
    }

    #[test]
    fn a_subprotocol_key_is_taken_out_or_replaced_and_its_neighbours_stay() {
        let line = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.v1");
        let lines = [("sec-websocket-protocol", line.as_str()), ("sec-websocket-protocol", "last")];
        let (map, _) = swapped(&lines, None, &provider(all_slots(), AuthSlot::Bearer));
        let kept: Vec<_> = map.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
        assert_eq!(kept, ["realtime, openai-beta.v1", "last"]);

        let inject = AuthSlot::Subprotocol(SECRET_SUBPROTOCOL.into());
        let mut into = provider(all_slots(), inject);
        into.credential = Secret::new("sk-real");
        for lines in [&lines[..], &[("sec-websocket-protocol", "realtime, openai-beta.v1, last")]] {
            let (map, _) = swapped(lines, None, &into);
            let kept: Vec<_> = map.get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
            assert_eq!(kept, ["realtime, openai-beta.v1, last, openai-insecure-api-key.sk-real"]);
        }
        into.credential = Secret::new("sk, real");
        assert_eq!(Swap::plan(&HeaderMap::new(), None, &into), Err(BadCredential));
    }

    #[test]
    fn a_credential_in_the_query_is_encoded_and_no_secret_shows_in_debug() {
        let provider = provider(all_slots(), AuthSlot::Query("key".into()));
        let (_, swap) = swapped(&[("x-goog-api-key", KEY)], Some("key=mine"), &provider);
        assert_eq!(swap.query.append, Some(Secret::new("key=sk-real%2B%2F%3D")));
        let bearer =
            Swap::plan(&HeaderMap::new(), None, &super::tests::provider(all_slots(), AuthSlot::Bearer)).unwrap();
        let presented = present(&headers(&[("x-goog-api-key", KEY)]), None, &all_slots());
        let shown = format!("{swap:?} {bearer:?} {presented:?}");
        assert!(!shown.contains("sk-real") && !shown.contains("gw_live"), "{shown}");
    }

    #[test]
    fn slots_are_described_for_the_caller() {
        let text = describe(&all_slots());
        assert!(
            text.starts_with("`x-goog-api-key: <key>` or `Authorization: Bearer <key>` or `?key=<key>` or "),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn no_key_survives_a_swap(
            names in prop::collection::vec("[a-z_-]{1,12}|cookie|sec-websocket-protocol|authorization", 1..6),
            before in "[ -~]{0,8}", after in "[ -~]{0,8}",
        ) {
            let value = format!("{before}{KEY}{after}");
            let lines: Vec<_> = names.iter().map(|name| (name.as_str(), value.trim())).collect();
            let (map, swap) = swapped(&lines, Some(&value), &provider(all_slots(), AuthSlot::Bearer));
            prop_assert!(map.iter().all(|(_, value)| !holds_key(value.as_bytes())));
            let pairs = value.split('&').enumerate().filter(|(at, _)| !swap.query.cut.contains(at));
            prop_assert!(pairs.map(|(_, pair)| pair).all(|pair| !holds_key(pair.as_bytes())));
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(value: Vec<u8>, query: String) {
            let mut map = HeaderMap::new();
            for name in ["authorization", "cookie", "sec-websocket-protocol", "x"] {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    map.append(name, value);
                }
            }
            present(&map, Some(&query), &all_slots());
            prop_assert!(Swap::plan(&map, Some(&query), &provider(all_slots(), AuthSlot::Bearer)).is_ok());
            holds_key(&value);
        }
    }
}
