//! What `sociaro-gateway check` says about a configuration, for people and for machines.

use super::{fault::Fault, settings::Settings};
use serde_json::{Value, json};
use std::fmt::Write;

/// The outcome of a check as text and as JSON. Neither holds a secret.
pub fn check_report(result: &Result<Settings, Vec<Fault>>) -> (String, Value) {
    match result {
        Ok(settings) => accepted(settings),
        Err(faults) => refused(faults),
    }
}

/// Faults as text and as JSON.
pub fn refused(faults: &[Fault]) -> (String, Value) {
    let mut text = String::new();
    for fault in faults {
        line(&mut text, &fault.to_string());
    }
    let count = faults.len();
    line(&mut text, &format!("{count} {} found", if count == 1 { "fault" } else { "faults" }));
    (text, json!({"valid": false, "faults": faults.iter().map(Fault::to_json).collect::<Vec<_>>()}))
}

fn accepted(settings: &Settings) -> (String, Value) {
    let mut text = "The configuration is valid.\n".to_owned();
    for listener in &settings.proxy.listeners {
        let tls = if listener.tls.is_some() { " with TLS" } else { "" };
        line(&mut text, &format!("listens      {}{tls}", listener.address));
    }
    line(&mut text, &format!("operations   {}", settings.proxy.operations));
    for provider in &settings.providers {
        let upstream = &provider.upstream;
        let (name, tls) = (&provider.name, if upstream.tls { "" } else { " without TLS" });
        line(
            &mut text,
            &format!("enabled      {name}: {}:{}{}{tls}", upstream.host, upstream.port, upstream.base_path),
        );
    }
    for (name, what) in &settings.disabled {
        line(&mut text, &format!("disabled     {name}: {what}"));
    }
    line(&mut text, &format!("prices       version {:?}", settings.prices.version()));
    let listeners: Vec<Value> = (settings.proxy.listeners.iter())
        .map(|listener| json!({"address": listener.address.to_string(), "tls": listener.tls.is_some()}))
        .collect();
    let enabled: Vec<&str> = settings.providers.iter().map(|provider| provider.name.as_str()).collect();
    let disabled: Vec<Value> =
        settings.disabled.iter().map(|(name, what)| json!({"provider": name, "reason": what})).collect();
    let json = json!({
        "valid": true,
        "faults": [],
        "listeners": listeners,
        "operations": settings.proxy.operations.to_string(),
        "providers": {"enabled": enabled, "disabled": disabled},
        "price_version": settings.prices.version(),
    });
    (text, json)
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}
