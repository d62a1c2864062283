//! `GET /gw/openapi.json`: what `/gw` takes and answers, for programs. No key is needed: it is the same for everybody.
//!
//! The document is the file `schema/openapi.json`. Tests compare it with the router here, and with real answers from outside.

use super::answer::Answer;

const DOCUMENT: &str = include_str!("../../schema/openapi.json");

pub(super) async fn document() -> Answer {
    Answer::bytes("application/json", DOCUMENT.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_with_its_methods_and_nothing_else() {
        let router = include_str!("mod.rs");
        let routes = router.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", "));
        let methods = |handlers: &str| {
            let is_named = |method: &&str| handlers.contains(&format!("{method}("));
            ["get", "post", "delete", "put", "patch"].into_iter().filter(is_named).map(str::to_owned).collect()
        };
        let routed: BTreeSet<(String, Vec<String>)> =
            routes.map(|(path, handlers)| (path.to_owned(), methods(handlers))).collect();
        assert!(routed.len() > 5, "the routes were not found");
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, Vec<String>)> = paths
            .iter()
            .map(|(path, operations)| (path.clone(), operations.as_object().unwrap().keys().cloned().collect()))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        for part in DOCUMENT.split("\"$ref\": \"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
