//! Any head: after the swap no gateway key is left in it, wherever it stood, and the credential stands once.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sociaro_gateway::{
    auth::key::contains_gateway_key,
    base::{ids::ProviderName, secret::Secret},
    exchange::{
        auth_slots::{Swap, describe, present},
        target::Target,
    },
    providers::provider::{AuthSlot, Dialect, Provider, Timeouts, Upstream},
};

const KEY: &str = "gw_live_0123456789abcdef0123456789abcdef0123456789abcdef";
const CREDENTIAL: &str = "sk-the-credential";

fn slot(by: u8) -> AuthSlot {
    match by % 4 {
        0 => AuthSlot::Bearer,
        1 => AuthSlot::Header("x-api-key".to_owned()),
        2 => AuthSlot::Query("key".to_owned()),
        _ => AuthSlot::Subprotocol("openai-insecure-api-key.".to_owned()),
    }
}

fn provider(slots: u8) -> Provider {
    let (first, second, inject) = (slot(slots), slot(slots >> 2), slot(slots >> 4));
    Provider {
        name: ProviderName::new("p"),
        upstream: Upstream { tls: false, host: "h".to_owned(), port: 1, base_path: String::new(), verify_tls: true },
        dialect: Dialect::OpenAi,
        credential: Secret::new(CREDENTIAL),
        in_place: if slots & 0x40 == 0 { Vec::new() } else { vec![first.clone()] },
        accept: vec![first, second],
        inject,
        endpoints: Vec::new(),
        timeouts: Timeouts::default(),
        strip_attribution: false,
        drain: None,
    }
}

/// The head as it goes out.
fn swapped(headers: &HeaderMap, swap: &Swap) -> HeaderMap {
    let mut out = headers.clone();
    for name in &swap.remove {
        out.remove(name);
    }
    for (name, value) in &swap.append {
        out.append(name, value.clone());
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let [slots, rest @ ..] = input else { return };
    // `\x01` stands for a key, so that one is often there
    let text = String::from_utf8_lossy(rest).replace('\u{1}', KEY);
    let mut lines = text.split('\n');
    let raw = format!("/p/v1?{}", lines.next().unwrap_or_default());
    let Ok(target) = Target::parse(raw.as_bytes()) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')).take(32) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim().as_bytes())) {
            headers.append(name, value);
        }
    }
    let provider = provider(*slots);
    drop(present(&headers, target.query(), &provider.accept));
    drop(describe(&provider.accept));
    let Ok(swap) = Swap::plan(&headers, target.query(), &provider) else { return };
    let (out, path) = (swapped(&headers, &swap), target.upstream_path("", &swap.query));
    assert!(!contains_gateway_key(path.as_bytes()), "{path}");
    let mut credentials = path.matches(CREDENTIAL).count();
    for (name, value) in &out {
        assert!(!contains_gateway_key(value.as_bytes()), "{name}: {value:?}");
        credentials += String::from_utf8_lossy(value.as_bytes()).matches(CREDENTIAL).count();
    }
    let own = text.matches(CREDENTIAL).count();
    assert!((1..=1 + own).contains(&credentials), "{credentials} credentials");
});
