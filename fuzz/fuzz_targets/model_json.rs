//! The model that a JSON body names: never another than an independent parser sees, and never one that it sees twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::exchange::model_json;

fuzz_target!(|body: &[u8]| {
    let read = model_json::read(body, "model");
    let parsed = serde_json::from_slice::<serde_json::Value>(body);
    match (&read, &parsed) {
        (Ok(ask), Ok(value)) => assert_eq!(ask.model.as_deref(), value.get("model").and_then(|model| model.as_str())),
        // deep nesting is beyond this parser, not beyond ours
        (Ok(_), Err(error)) => assert!(error.to_string().contains("recursion limit"), "{error}"),
        (Err(_), _) => {}
    }
});
