//! providers.yaml: each provider with its upstream, its auth slots, its endpoints and its credential.

use super::{
    endpoints::Sets,
    fields::{Fields, Item, Key},
    gateway::is_header_name,
    secret::{self, Lookup},
};
use crate::{
    base::{clock::Duration, ids::ProviderName},
    providers::provider::{AuthSlot, Dialect, DrainBounds, Provider, Timeouts, Upstream},
};

const PROVIDERS_MAX: usize = 256;
const SLOTS_MAX: usize = 8;
/// First path segments that are ours.
const RESERVED: &[&str] = &["dashboard", "gw", "healthz", "metrics", "models", "readyz", "v1"];

/// What providers.yaml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Providers {
    pub(super) enabled: Vec<Provider>,
    /// Name, and what would enable it.
    pub(super) disabled: Vec<(String, String)>,
}

/// Reads the whole file.
pub(super) fn read(top: &Fields<'_>) -> Providers {
    let timeouts = top.section("timeouts", |f| timeouts(f, &Timeouts::default()));
    let sets = Sets::read(top);
    let mut providers = Providers { enabled: Vec::new(), disabled: Vec::new() };
    for (key, item) in top.members("providers", PROVIDERS_MAX).unwrap_or_default() {
        check_name(&key);
        match item.section(|f| provider(f, key.text, &sets, &timeouts)) {
            Some(Ok(provider)) => providers.enabled.push(provider),
            Some(Err(what)) => providers.disabled.push((key.text.to_owned(), what)),
            None => {}
        }
    }
    sets.note_unused();
    providers
}

fn check_name(key: &Key<'_>) {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let starts = key.text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if RESERVED.contains(&key.text) {
        key.fault(format!("a provider may not be called so: {} are the gateway's own paths", RESERVED.join(", ")));
    } else if !starts || key.text.len() > 32 || !key.text.bytes().all(valid) {
        key.fault("expected a provider's name: a-z, 0-9 and `-`, beginning with a letter, at most 32");
    }
}

/// `None` after a fault; the error says what would enable the provider.
fn provider(f: &Fields<'_>, name: &str, sets: &Sets<'_>, defaults: &Timeouts) -> Option<Result<Provider, String>> {
    let upstream = f.required("upstream", UPSTREAM_EXPECTED);
    let upstream = upstream.and_then(|item| item.parsed(UPSTREAM_EXPECTED, upstream_of));
    let verify_tls = f.switch("verify_tls", true);
    let dialect = f.required("dialect", DIALECT_EXPECTED);
    let dialect = dialect.and_then(|item| {
        item.parsed(DIALECT_EXPECTED, |text| dialect_of(text).map(|dialect| (dialect, text.to_owned())))
    });
    let credential = credential(f);
    let auth = f.section("auth", auth);
    let endpoints = sets.choose(f, dialect.as_ref().map_or("", |(_, name)| name));
    let timeouts = f.section("timeouts", |f| timeouts(f, defaults));
    let strip_attribution = f.switch("strip_attribution", false);
    let drain = f.section("after_caller_leaves", after_caller_leaves);
    let (upstream, (dialect, _)) = (Upstream { verify_tls, ..upstream? }, dialect?);
    Some(match credential? {
        Lookup::NotSet(what) => Err(what),
        Lookup::Found(credential) => Ok(Provider {
            name: ProviderName::new(name),
            upstream,
            dialect,
            credential,
            accept: auth.accept,
            inject: auth.inject,
            in_place: auth.in_place,
            endpoints,
            timeouts,
            strip_attribution,
            drain,
        }),
    })
}

/// The credential is read past `env:` substitution, so that it never becomes ordinary text.
fn credential(f: &Fields<'_>) -> Option<Lookup> {
    if let Some(item) = f.raw("credential") {
        return secret::look_up(&item);
    }
    f.required("credential", "env:NAME or file:PATH");
    None
}

const UPSTREAM_EXPECTED: &str =
    "http:// or https://, a host, and if need be a port and a path to put before the caller's: https://api.example.com";
const DIALECT_EXPECTED: &str = "openai, anthropic, gemini, dashscope, ark or mulerouter";

fn upstream_of(text: &str) -> Option<Upstream> {
    let uri: http::Uri = text.parse().ok().filter(|_| !text.contains(['#', '?', '@']))?;
    let tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = uri.authority()?.as_str();
    let written = authority.strip_prefix(uri.host()?)?;
    let port = match written.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if written.is_empty() => {
            if tls {
                443
            } else {
                80
            }
        }
        None => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let base_path = uri.path().trim_end_matches('/').to_owned();
    let clean = !host.is_empty() && !base_path.contains("//") && !base_path.split('/').any(|part| part == "..");
    clean.then_some(Upstream { tls, host, port, base_path, verify_tls: true })
}

fn dialect_of(text: &str) -> Option<Dialect> {
    match text {
        "openai" => Some(Dialect::OpenAi),
        "anthropic" => Some(Dialect::Anthropic),
        "gemini" => Some(Dialect::Gemini),
        "dashscope" => Some(Dialect::DashScope),
        "ark" => Some(Dialect::Ark),
        "mulerouter" => Some(Dialect::MuleRouter),
        _ => None,
    }
}

struct Auth {
    accept: Vec<AuthSlot>,
    inject: AuthSlot,
    in_place: Vec<AuthSlot>,
}

fn auth(f: &Fields<'_>) -> Auth {
    let accept = f.elements("accept", SLOTS_MAX).map(|items| {
        if items.is_empty() {
            f.fault("accept: expected at least one slot");
        }
        slots(&items)
    });
    let accept = accept.unwrap_or_else(|| vec![AuthSlot::Bearer]);
    let inject = f.get("inject").and_then(|item| item.parsed(INJECT_EXPECTED, inject));
    let first = accept.iter().find(|slot| !matches!(slot, AuthSlot::Subprotocol(_))).cloned();
    let in_place_items = f.elements("in_place", SLOTS_MAX).unwrap_or_default();
    for item in &in_place_items {
        if let Some(slot) = item.written().and_then(self::inject).filter(|slot| !accept.contains(slot)) {
            item.fault(format!("{slot:?} is not among the slots in accept"));
        }
    }
    let in_place = in_place_items.iter().filter_map(|item| item.parsed(INJECT_EXPECTED, self::inject)).collect();
    Auth { inject: inject.or(first).unwrap_or(AuthSlot::Bearer), accept, in_place }
}

const SLOT_EXPECTED: &str = "bearer, header:NAME, query:NAME or subprotocol:PREFIX";
const INJECT_EXPECTED: &str = "bearer, header:NAME or query:NAME";

fn slots(items: &[Item<'_>]) -> Vec<AuthSlot> {
    let mut slots = Vec::new();
    for item in items {
        let Some(slot) = item.parsed(SLOT_EXPECTED, slot) else { continue };
        if slots.contains(&slot) {
            item.fault("stands here twice");
        } else {
            slots.push(slot);
        }
    }
    slots
}

fn slot(text: &str) -> Option<AuthSlot> {
    let visible = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if text == "bearer" {
        return Some(AuthSlot::Bearer);
    }
    match text.split_once(':')? {
        ("header", name) => {
            let name = name.to_ascii_lowercase();
            is_header_name(&name).then_some(AuthSlot::Header(name))
        }
        ("query", name) => visible(name).then(|| AuthSlot::Query(name.to_owned())),
        ("subprotocol", prefix) => visible(prefix).then(|| AuthSlot::Subprotocol(prefix.to_owned())),
        _ => None,
    }
}

fn inject(text: &str) -> Option<AuthSlot> {
    slot(text).filter(|slot| !matches!(slot, AuthSlot::Subprotocol(_)))
}

/// `None` cancels.
fn after_caller_leaves(f: &Fields<'_>) -> Option<DrainBounds> {
    let default = DrainBounds::default();
    let policy = f.get("policy").map_or(Some(false), |item| {
        item.parsed("cancel or drain", |text| match text {
            "cancel" => Some(false),
            "drain" => Some(true),
            _ => None,
        })
    });
    let bounds = DrainBounds {
        time_max: f.seconds("seconds_max", default.time_max, 1..=3600),
        bytes_max: f.whole("bytes_max", default.bytes_max, 1024..=1 << 30),
    };
    policy.unwrap_or_default().then_some(bounds)
}

fn timeouts(f: &Fields<'_>, default: &Timeouts) -> Timeouts {
    let timeouts = Timeouts {
        connect: f.millis("connect_ms", default.connect, 10..=60_000),
        connect_total: f.millis("connect_total_ms", default.connect_total, 10..=120_000),
        read: f.seconds("read_seconds", default.read, 1..=86_400),
        write: f.seconds("write_seconds", default.write, 1..=86_400),
        idle: f.seconds("idle_seconds", default.idle, 0..=86_400),
    };
    if timeouts.connect_total < timeouts.connect {
        let shown = |duration: Duration| duration.as_millis();
        let (total, connect) = (shown(timeouts.connect_total), shown(timeouts.connect));
        f.fault(format!("connect_total_ms ({total}) covers TCP and TLS: it may not be below connect_ms ({connect})"));
    }
    timeouts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{fields::Source, yaml},
        providers::provider::{EndpointKind, ModelPlace},
    };

    fn load(text: &str) -> (Providers, Vec<String>) {
        let env = |name: &str| (name == "SET").then(|| "hush".to_owned());
        let mut syntax = Vec::new();
        let root = yaml::parse("f", text.as_bytes(), &mut syntax).unwrap();
        let source = Source::new("f", &env);
        let providers = source.read(&root, read);
        (providers, syntax.into_iter().chain(source.into_faults()).map(|fault| fault.to_string()).collect())
    }

    const SETS: &str = "endpoint_sets:\n  s:\n    - {name: chat, path: /v1/chat}\n";

    fn with_provider(fields: &str) -> String {
        format!("{SETS}providers:\n  acme:\n{fields}")
    }

    #[test]
    fn four_lines_make_a_provider() {
        let (providers, faults) = load(&with_provider(
            "    upstream: https://api.acme.ai/openai/\n    dialect: openai\n    credential: env:SET\n    endpoints: [s]\n",
        ));
        assert_eq!(faults, Vec::<String>::new());
        let provider = &providers.enabled[0];
        assert_eq!(provider.name.as_str(), "acme");
        assert_eq!(
            provider.upstream,
            Upstream {
                tls: true,
                host: "api.acme.ai".into(),
                port: 443,
                base_path: "/openai".into(),
                verify_tls: true
            }
        );
        assert_eq!((&provider.accept, &provider.inject), (&vec![AuthSlot::Bearer], &AuthSlot::Bearer));
        assert_eq!(provider.endpoints[0].model, ModelPlace::Json("model".into()));
        assert_eq!(provider.timeouts, Timeouts::default());
    }

    #[test]
    fn a_provider_whose_credential_is_not_set_is_disabled() {
        let fields = "    upstream: http://[::1]:8000\n    dialect: ark\n    endpoints: [s]\n    credential: ";
        for (reference, what) in
            [("env:UNSET", "the variable UNSET is not set"), ("file:/none", "the file /none is missing")]
        {
            let (providers, faults) = load(&with_provider(&format!("{fields}{reference}\n")));
            assert_eq!((faults, providers.enabled.len()), (vec![], 0));
            assert!(providers.disabled[0].1.contains(what), "{:?}", providers.disabled);
        }
    }

    #[test]
    fn each_wrong_value_is_a_fault_at_its_line() {
        let base = "    upstream: http://a\n    dialect: openai\n    credential: env:SET\n    endpoints: [s]\n";
        let with = |more: &str| with_provider(&format!("{base}{more}\n"));
        let endpoints = |list: &str| with_provider(&base.replace("[s]", list));
        let set = |element: &str| format!("{SETS}    - {element}\nproviders:\n  acme:\n{base}");
        for (text, says) in [
            (with_provider("    dialect: openai\n"), "f:6:5: providers.acme.upstream: is missing"),
            (with_provider("    {}\n"), "providers.acme.credential: is missing: expected env:NAME or file:PATH"),
            (
                with_provider(&base.replace("    endpoints: [s]\n", "")),
                "no endpoint set is called \"openai\" like the dialect",
            ),
            (
                with_provider(&base.replace("http://a", "ftp://a")),
                "f:6:15: providers.acme.upstream: expected http:// or",
            ),
            (with_provider(&base.replace("http://a", "https://u:p@a")), "upstream: expected"),
            (with_provider(&base.replace("http://a", "https://a:99999")), "upstream: expected"),
            (with_provider(&base.replace("http://a", "https://a/b?c")), "upstream: expected"),
            (
                with_provider(&base.replace("openai", "grpc")),
                "f:7:14: providers.acme.dialect: expected openai, anthropic",
            ),
            (
                with_provider(&base.replace("env:SET", "sk-hunter2")),
                "f:8:17: providers.acme.credential: expected env:NAME",
            ),
            (endpoints("[t]"), "f:9:17: providers.acme.endpoints[0]: no endpoint set is called \"t\": known are s"),
            (endpoints("[]"), "at least one endpoint set"),
            (endpoints("s"), "expected a list, found \"s\""),
            (
                endpoints("[s, s]"),
                "endpoints[1]: chat (POST /v1/chat) can never match: chat (POST /v1/chat) comes before",
            ),
            (endpoints("[s, {set: s, under: v1}]"), "endpoints[1].under: expected a path that begins with /"),
            (endpoints("[s, {set: s}]"), "endpoints[1].under: is missing"),
            (
                endpoints("[{name: all, path: '/{p*}', method: any}, s]"),
                "endpoints[1]: chat (POST /v1/chat) can never match",
            ),
            (set("{name: other, path: '/v1/{x}'}\n    - {name: dead, path: /v1/dead}"), "endpoint_sets.s[2]: dead"),
            (set("{name: A, path: /a}"), "an endpoint's name"),
            (set("{name: a, path: a}"), "f:4:23: endpoint_sets.s[1].path: expected a path that begins with /"),
            (set("{name: a}"), "endpoint_sets.s[1].path: is missing"),
            (set("{name: a, path: /a, method: get}"), "an HTTP method in capitals"),
            (set("{name: a, path: /a, model: body}"), "expected json, multipart"),
            (set("{name: a, path: /a, model: path}"), "has no {model}"),
            (set("{name: a, path: '/a/{model}', model: json}"), "rename the parameter"),
            (set("{name: a, path: /a, kind: paid}"), "inference, listing or free"),
            (set("{name: a, path: /a, kind: listing, method: POST}"), "its method must be GET"),
            (set("{name: a, path: /a, modle: json}"), "did you mean \"model\"?"),
            (format!("{SETS}  t: []\nproviders:\n  acme:\n{base}"), "f:4:6: endpoint_sets.t: no provider uses"),
            (with("    auth: {accept: []}"), "at least one slot"),
            (with("    auth: {accept: [cookie]}"), "providers.acme.auth.accept[0]: expected bearer, header:NAME"),
            (with("    auth: {accept: [bearer, bearer]}"), "twice"),
            (with("    auth: {inject: 'subprotocol:x'}"), "expected bearer, header:NAME or query:NAME"),
            (with("    auth: {in_place: ['query:key']}"), "is not among the slots in accept"),
            (with("    timeouts: {connect_ms: 20000}"), "may not be below connect_ms (20000)"),
            (with("    timeouts: {read: 5}"), "unknown field"),
            (with("    verify_tls: no"), "expected true or false"),
            (with("  acme: {}"), "f:10:3: the key \"acme\" stands here twice"),
            (with("  gw: {}"), "providers.gw: a provider may not be called so"),
            (with("  v1: {}"), "providers.v1: a provider may not be called so"),
            (with("  Acme: {}"), "expected a provider's name"),
            (with("  acme/b: {}"), "expected a provider's name"),
        ] {
            let (_, faults) = load(&text);
            assert!(faults.iter().any(|fault| fault.contains(says)), "{text}\n{says}\n{faults:#?}");
            assert!(faults.iter().all(|fault| !fault.contains("hunter2")), "{faults:?}");
        }
    }

    #[test]
    fn endpoints_take_their_method_and_model_from_kind_and_path() {
        let (providers, faults) = load(
            "endpoint_sets:\n  s:\n    - {name: a, path: '/{v}/models/{model}:go'}\n    \
             - {name: b, kind: listing, path: '/models/{model}'}\n    \
             - {name: c, method: any, kind: free, model: 'query:deployment', path: /c}\nproviders:\n  p:\n    \
             upstream: https://a:8443\n    dialect: gemini\n    credential: env:SET\n    \
             auth: {accept: ['header:X-Key', 'query:key', bearer], in_place: [bearer]}\n    \
             timeouts: {connect_ms: 100}\n    strip_attribution: true\n    \
             endpoints: [{set: s, under: /x}, {name: d, path: /d, model: none}]\n",
        );
        assert_eq!(faults, Vec::<String>::new());
        let provider = &providers.enabled[0];
        let seen: Vec<_> =
            provider.endpoints.iter().map(|e| (e.method.as_deref(), e.path.as_str(), &e.model, e.kind)).collect();
        assert_eq!(
            seen,
            [
                (Some("POST"), "/x/{v}/models/{model}:go", &ModelPlace::Path, EndpointKind::Inference),
                (Some("GET"), "/x/models/{model}", &ModelPlace::None, EndpointKind::Listing),
                (None, "/x/c", &ModelPlace::Query("deployment".into()), EndpointKind::Free),
                (Some("POST"), "/d", &ModelPlace::None, EndpointKind::Inference),
            ]
        );
        assert_eq!(provider.inject, AuthSlot::Header("x-key".into()));
        assert_eq!(provider.in_place, [AuthSlot::Bearer]);
        assert_eq!((provider.upstream.port, provider.timeouts.connect.as_millis()), (8443, 100));
        assert!(provider.strip_attribution);
    }
}
