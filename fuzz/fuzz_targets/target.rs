//! Any request target: what is taken goes out as it came, and holds nothing that servers read differently.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::exchange::target::{QueryEdit, Target};

fuzz_target!(|raw: &[u8]| {
    let Ok(target) = Target::parse(raw) else { return };
    let query = target.query().map_or(String::new(), |query| format!("?{query}"));
    let is_bare = raw[1..].split(|byte| *byte == b'?').next().is_some_and(|path| !path.contains(&b'/'));
    let path = if is_bare { "" } else { target.path() };
    assert_eq!(format!("/{}{path}{query}", target.provider()).as_bytes(), raw, "nothing is lost or changed");
    let out = target.upstream_path("", &QueryEdit::default());
    assert_eq!(out, format!("{}{query}", target.path()));
    assert!(out.starts_with('/') && !out.bytes().any(|byte| byte <= b' ' || byte == b'\\' && !query.contains('\\')));
    assert!(!target.path().split('/').any(|segment| segment == "." || segment == ".."));
    for name in ["model", "key", "a"] {
        if let Ok(Some(value)) = target.parameter(name) {
            assert!(target.query().is_some() && value.len() <= raw.len());
        }
    }
    let cut = QueryEdit { cut: (0..raw.len()).collect(), append: None };
    assert_eq!(
        target.upstream_path("/base", &cut),
        format!("/base{}", target.path()),
        "every parameter can be left out"
    );
});
