//! Tests of what is shipped: the files in conf/ load, their commented defaults are the code's, docs/config.md lists
//! every field that is read. And of what no file may do: make the reader panic.

use super::{
    env::Env,
    fault::Fault,
    fields::{Fields, Source},
    gateway,
    pattern::Pattern,
    prices, providers,
    report::check_report,
    settings::{FILES, File, Settings, check, load},
    yaml::{self, Node, Value},
};
use crate::providers::provider::{Endpoint, ModelPlace};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The file with its commented fields taken in: `#name: value`, no space after the `#`.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(field) if !field.starts_with(' ') => format!("{}\n", line.replacen('#', "", 1)),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Reads one file's text; gives the value, the fields that were asked for, and the faults.
fn read<T>(text: &str, read: impl FnOnce(&Fields<'_>) -> T) -> (T, BTreeSet<String>, Vec<Fault>) {
    let env = |_: &str| Some("set".to_owned());
    let mut faults = Vec::new();
    let tree = yaml::parse("f", text.as_bytes(), &mut faults).unwrap_or_else(|| panic!("{faults:?}"));
    let source = Source::new("f", &env);
    let value = source.read(&tree, read);
    let asked = source.asked();
    faults.extend(source.into_faults());
    (value, asked, faults)
}

/// Single values by their documented name.
fn leaves(node: &Node, name: &str, found: &mut BTreeMap<String, String>) {
    match &node.value {
        Value::Mapping(entries) if name != "attribution.headers" => {
            for entry in entries {
                let dot = if name.is_empty() { "" } else { "." };
                leaves(&entry.value, &format!("{name}{dot}{}", entry.key), found);
            }
        }
        Value::List(items) if matches!(name, "listeners" | "prompt.models") => {
            for item in items {
                leaves(item, &format!("{name}[]"), found);
            }
        }
        value => {
            found.insert(name.to_owned(), written(value));
        }
    }
}

/// A value as docs/config.md writes it.
fn written(value: &Value) -> String {
    match value {
        Value::Null | Value::Refused => "not set".to_owned(),
        Value::Scalar { text, .. } => format!("`{text}`"),
        Value::List(items) if items.is_empty() => "none".to_owned(),
        Value::List(items) => items.iter().map(|item| written(&item.value)).collect::<Vec<_>>().join(", "),
        Value::Mapping(entries) => {
            let pair = |entry: &yaml::Entry| format!("`{}` → {}", entry.key, written(&entry.value.value));
            entries.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
    }
}

/// The rows of docs/config.md: field, default.
fn documented() -> BTreeMap<String, String> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let field = cells.next()?.strip_suffix('`').filter(|field| !FILES.contains(field))?.to_owned();
        Some((field, cells.next()?.to_owned()))
    };
    shipped("docs/config.md").lines().filter_map(row).collect()
}

/// The fields that have no fields of their own.
fn single(asked: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    let parent = |name: &str| {
        asked.iter().any(|other| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '['])))
    };
    asked.iter().filter(move |name| !parent(name))
}

#[test]
fn the_shipped_configuration_loads_with_every_provider() {
    let none = |_: &str| None;
    let settings = load(&root().join("conf"), &none).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let names: Vec<&str> = settings.disabled.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["openai", "anthropic", "google", "alibaba", "byteplus", "mulerouter"]);
    assert!(settings.disabled.iter().all(|(_, what)| what.ends_with("_API_KEY is not set")));
    assert!(settings.providers.is_empty());

    let all = |_: &str| Some("sk-hush".to_owned());
    let settings = load(&root().join("conf"), &all).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!((settings.providers.len(), settings.disabled.len()), (6, 0));
    assert!(!settings.prices.version().is_empty());
    assert!(!format!("{settings:?}").contains("sk-hush"));
}

#[test]
fn the_defaults_in_comments_are_the_defaults_of_the_code() {
    let text = shipped("conf/gateway.yaml");
    let (as_shipped, _, faults) = read(&text, gateway::read);
    assert_eq!(faults, []);
    let (taken_in, _, faults) = read(&uncommented(&text), gateway::read);
    assert_eq!(faults, []);
    let (empty, _, _) = read("", gateway::read);
    assert_eq!((&as_shipped, &taken_in), (&empty, &empty));

    let text = shipped("conf/providers.yaml");
    let (as_shipped, _, faults) = read(&text, providers::read);
    assert_eq!(faults, []);
    let (taken_in, _, faults) = read(&uncommented(&text), providers::read);
    assert_eq!(faults, []);
    assert_eq!(as_shipped, taken_in);
}

#[test]
fn gateway_yaml_shows_every_field_that_is_read() {
    let text = uncommented(&shipped("conf/gateway.yaml"));
    let (_, asked, _) = read(&text, gateway::read);
    let tree = yaml::parse("f", text.as_bytes(), &mut Vec::new()).unwrap();
    let mut found = BTreeMap::new();
    leaves(&tree, "", &mut found);
    let missing: Vec<&String> = single(&asked).filter(|name| !found.contains_key(*name)).collect();
    assert_eq!(missing, Vec::<&String>::new());

    let documented = documented();
    for (name, default) in &found {
        let threads = name == "server.threads" && documented.get(name).is_some_and(|text| text.starts_with("`0`"));
        // The catalog is shown as a whole: its elements' values are no defaults of fields.
        let shown = name.starts_with("prompt.models[].") && documented.contains_key(name);
        assert!(
            threads || shown || documented.get(name) == Some(default),
            "docs/config.md: {name}: {default}, not {:?}",
            documented.get(name)
        );
    }
}

#[test]
fn docs_config_md_lists_every_field_that_is_read_and_no_other() {
    let pem = root().join("Cargo.toml");
    let tls = format!(
        "listeners:\n  - address: 1.1.1.1:80\n    tls: {{certificate: {p}, private_key: {p}}}\nprompt: {{models: [{{id: a/b}}]}}\n",
        p = pem.display()
    );
    let mut asked = read(&tls, gateway::read).1;
    asked.extend(read(&shipped("conf/providers.yaml"), providers::read).1);
    let row = "version: a\nprices:\n  - {provider: p, model: m, per_unit: {image: 1}, variants: [{service_tier: flex}]}\nterms: {p: {times: 1.1}}\n";
    asked.extend(read(row, prices::read).1);
    let documented: BTreeSet<String> = documented().into_keys().collect();
    let missing: Vec<&String> = single(&asked).filter(|name| !documented.contains(*name)).collect();
    let stale: Vec<&String> = documented.difference(&asked).collect();
    assert_eq!((missing, stale), (vec![], vec![]));
}

/// What callers ask for, and what the shipped endpoints take it for.
const CALLS: &[(&str, &str, &str, &str)] = &[
    ("openai", "POST", "/v1/chat/completions", "chat.completions json inference"),
    ("openai", "POST", "/v1/responses", "responses json inference"),
    ("openai", "POST", "/v1/responses/input_tokens", "responses.input_tokens json free"),
    ("openai", "GET", "/v1/responses/resp_1", "responses.get none listing"),
    ("openai", "GET", "/v1/responses", "responses.websocket none inference"),
    ("openai", "POST", "/v1/embeddings", "embeddings json inference"),
    ("openai", "POST", "/v1/images/edits", "images.edits json_or_multipart inference"),
    ("openai", "POST", "/v1/audio/transcriptions", "audio.transcriptions multipart inference"),
    ("openai", "GET", "/v1/realtime", "realtime query inference"),
    ("openai", "GET", "/v1/models", "models.list none listing"),
    ("openai", "GET", "/v1/models/gpt-5.4", "models.get none listing"),
    ("openai", "GET", "/v1/files", "files.list none inference"),
    ("openai", "GET", "/v1/videos/video_1/content", "videos.content none listing"),
    ("openai", "GET", "/v1/organization/usage/completions", ""),
    ("anthropic", "POST", "/v1/messages", "messages json inference"),
    ("anthropic", "POST", "/v1/messages/count_tokens", "messages.count_tokens json free"),
    ("anthropic", "POST", "/v1/messages/batches", "messages.batches.create none inference"),
    ("anthropic", "GET", "/v1/messages/batches/b/results", "messages.batches.results none listing"),
    ("anthropic", "GET", "/v1/models", "models.list none listing"),
    ("google", "POST", "/v1beta/models/gemini-3.8-flash:generateContent", "generate_content path inference"),
    ("google", "POST", "/v1/models/gemini-3.8-flash:streamGenerateContent", "stream_generate_content path inference"),
    ("google", "POST", "/v1beta/models/gemini-3.8-flash:countTokens", "count_tokens path free"),
    ("google", "POST", "/v1beta/models/veo-3.1:predictLongRunning", "predict_long_running path inference"),
    ("google", "GET", "/v1beta/models/veo-3.1/operations/op", "operations.get none listing"),
    ("google", "POST", "/v1beta/openai/chat/completions", "chat.completions json inference"),
    ("google", "GET", "/v1beta/openai/models", "models.list none listing"),
    ("google", "POST", "/upload/v1beta/files", "files.upload none inference"),
    ("google", "GET", "/v1beta/files/f:download", "files.get none listing"),
    ("google", "POST", "/v1beta/interactions", "interactions json inference"),
    ("alibaba", "POST", "/compatible-mode/v1/chat/completions", "chat.completions json inference"),
    ("alibaba", "POST", "/api/v1/services/aigc/text-generation/generation", "text.generation json inference"),
    ("alibaba", "POST", "/api/v1/services/aigc/video-generation/video-synthesis", "video.synthesis json inference"),
    ("alibaba", "POST", "/api/v1/services/aigc/new/thing", "services json inference"),
    ("alibaba", "GET", "/api/v1/tasks/t", "tasks.get none listing"),
    ("alibaba", "GET", "/api/v1/tasks", "tasks.list none inference"),
    ("alibaba", "GET", "/api-ws/v1/realtime", "realtime query inference"),
    ("byteplus", "POST", "/api/v3/chat/completions", "chat.completions json inference"),
    ("byteplus", "POST", "/api/v3/images/generations", "images.generations json inference"),
    ("byteplus", "POST", "/api/v3/contents/generations/tasks", "content_generation.tasks.create json inference"),
    ("byteplus", "GET", "/api/v3/contents/generations/tasks/cgt-1", "content_generation.tasks.get none listing"),
    ("mulerouter", "POST", "/vendors/openai/v1/chat/completions", "chat.completions json inference"),
    ("mulerouter", "POST", "/vendors/alibaba/v1/wan2.6-t2v/generation", "media.create path inference"),
    (
        "mulerouter",
        "POST",
        "/vendors/minimax/v1/speech-2.8-hd/text-to-speech/generation",
        "media.create path inference",
    ),
    ("mulerouter", "GET", "/vendors/alibaba/v1/wan2.6-t2v/generation/8e1e", "media.get none listing"),
];

#[test]
fn shipped_endpoints_take_calls_for_what_they_are() {
    let env = |_: &str| Some("sk-hush".to_owned());
    let settings = load(&root().join("conf"), &env).unwrap();
    for (provider, method, path, expected) in CALLS {
        let provider = settings.providers.iter().find(|known| known.name.as_str() == *provider).unwrap();
        let asked = Pattern::parse(path).unwrap();
        let fits = |endpoint: &&Endpoint| {
            let pattern = Pattern::parse(&endpoint.path).unwrap();
            endpoint.method.as_deref().is_none_or(|known| known == *method) && pattern.covers(&asked)
        };
        let found = provider.endpoints.iter().find(fits).map(|endpoint| {
            let place = match endpoint.model {
                ModelPlace::Json(_) => "json",
                ModelPlace::Multipart(_) => "multipart",
                ModelPlace::JsonOrMultipart(_) => "json_or_multipart",
                ModelPlace::Path => "path",
                ModelPlace::Query(_) => "query",
                ModelPlace::None => "none",
            };
            format!("{} {place} {}", endpoint.name, format!("{:?}", endpoint.kind).to_lowercase())
        });
        assert_eq!(found.unwrap_or_default(), *expected, "{method} /{}{path}", provider.name);
    }
}

fn files(texts: [&[u8]; 3]) -> [File; 3] {
    let mut bytes = texts.into_iter();
    FILES.map(|name| File { name: name.into(), bytes: Ok(bytes.next().unwrap_or_default().to_vec()) })
}

fn check_all(bytes: &[u8], env: Env<'_>) -> Vec<Result<Settings, Vec<Fault>>> {
    [[bytes, b"", b""], [b"", bytes, b""], [b"", b"", bytes]].map(|texts| check(&files(texts), env)).into()
}

#[test]
fn json_is_read_as_the_yaml_that_it_is() {
    let gateway = serde_json::json!({
        "listeners": [{"address": "127.0.0.1:0"}],
        "operations": {"address": "127.0.0.1:0"},
        "server": {"threads": 2, "grace_period_seconds": 0, "ca_file": null, "daemon": false, "client_bind_to_ipv4": []},
        "attribution": {"headers": {}},
    });
    let text = serde_json::to_string_pretty(&gateway).unwrap();
    let settings = check(&files([text.as_bytes(), b"", b""]), &|_| None).unwrap();
    assert_eq!((settings.proxy.server.threads, settings.proxy.server.grace_period_seconds), (2, 0));
    assert!(settings.exchange.attribution_headers.is_empty());
}

#[test]
fn a_provider_may_be_appended_to_the_shipped_file() {
    let text = shipped("conf/providers.yaml")
        + "  groq:\n    upstream: https://api.groq.com/openai\n    dialect: openai\n    credential: env:GROQ_API_KEY\n";
    let settings = check(&files([b"", text.as_bytes(), b""]), &|_| Some("sk".to_owned())).unwrap();
    let (first, last) = (settings.providers.first().unwrap(), settings.providers.last().unwrap());
    assert_eq!((last.name.as_str(), last.upstream.base_path.as_str()), ("groq", "/openai"));
    assert_eq!(first.endpoints, last.endpoints);
}

#[test]
fn three_empty_files_are_a_configuration() {
    let settings = check(&files([b"", b"", b""]), &|_| None).unwrap();
    assert!(settings.providers.is_empty() && settings.disabled.is_empty());
}

#[test]
fn faults_of_all_files_come_out_together_and_a_missing_file_is_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.yaml"), "a: 1\nb: 2\n").unwrap();
    fs::create_dir(folder.path().join("prices.yaml")).unwrap();
    let result = load(folder.path(), &|_| None);
    let shown: Vec<String> = result.as_ref().unwrap_err().iter().map(ToString::to_string).collect();
    let start = format!("{}/", folder.path().display());
    let shown: Vec<&str> = shown.iter().map(|fault| fault.strip_prefix(&start).unwrap()).collect();
    assert!(shown[0].starts_with("gateway.yaml:1:1: a: unknown field"), "{shown:?}");
    assert!(shown[1].starts_with("gateway.yaml:2:1: b: unknown field"), "{shown:?}");
    assert!(shown[2].starts_with("providers.yaml: cannot be read: "), "{shown:?}");
    assert_eq!(shown[3], "prices.yaml: cannot be read: is not a file");

    let (text, json) = check_report(&result);
    assert!(text.ends_with("4 faults found\n"), "{text}");
    assert_eq!((json["valid"].as_bool(), json["faults"][1]["line"].as_u64()), (Some(false), Some(2)));
}

#[test]
fn a_valid_configuration_reports_what_it_would_do() {
    let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-hush".to_owned());
    let (text, json) = check_report(&load(&root().join("conf"), &env));
    for says in [
        "is valid",
        "listens      0.0.0.0:8080",
        "enabled      openai: api.openai.com:443",
        "disabled     google: the variable GEMINI_API_KEY",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert_eq!(json["providers"]["enabled"][0], "openai");
    assert_eq!(json["valid"], true);
    assert!(!format!("{text}{json}").contains("sk-hush"));
}

/// Broken, hostile or merely odd files.
const ODD_FILES: &[&str] = &[
    "\0",
    "\u{feff}",
    "\u{feff}a",
    "\t",
    "a:\tb",
    "a:\n\tb: 1",
    "- - -",
    "---\n---\n",
    "...",
    "%YAML 9.9\n---\n",
    "!!binary x",
    "!!map {}",
    "&a *a",
    "*a",
    "<<: *a",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|",
    ">",
    "|9999999999",
    "@",
    "`",
    "? ?",
    ": :",
    "a: b: c",
    "a: {b: [}",
    "[a, b",
    "{a: 1, a: 1}",
    "? {a: 1}\n: 1",
    "1: 2",
    "~: 1",
    "null",
    "true",
    "server: []",
    "server: 1",
    "server: {threads: {}}",
    "server: {threads: []}",
    "listeners: {}",
    "listeners: [[[]]]",
    "listeners: [1, ~, {}, []]",
    "usage: ~",
    "usage: {embedded: []}",
    "attribution: {headers: ~}",
    "providers: []",
    "providers: {a: ~}",
    "providers: {a: []}",
    "providers: {'': {}}",
    "endpoint_sets: {a: {}}",
    "endpoint_sets: {a: [~]}",
    "providers: {a: {endpoints: [[]]}}",
    "providers: {a: {endpoints: [{set: a}]}}",
    "prices: {}",
    "prices: [~]",
    "prices: [[]]",
    "version: 1\nprices: [{variants: [[]]}]",
    "version: []",
    "version: 1\nprices: [{per_million: 1}]",
    "version: 1\nprices: [{from: 0000-00-00}]",
    "server: {threads: \"\\ud800\"}",
    "a: \"\\U00110000\"",
    "é: ñ",
];

fn odd_files() -> Vec<Vec<u8>> {
    let many = |count, text: fn(usize) -> String| (1..count).map(text).collect::<String>().into_bytes();
    let mut files: Vec<Vec<u8>> = ODD_FILES.iter().map(|text| text.as_bytes().to_vec()).collect();
    files.extend([
        b"\xff\xfea\0".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        (0..=255).collect(),
        vec![b'a'; 5 * 1024 * 1024],
        many(10_000, |_| "[".to_owned()),
        many(10_000, |_| "- ".to_owned()),
        many(2_000, |n| format!("k{n}: 1\n")),
        many(30, |n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)),
    ]);
    files
}

#[test]
fn odd_files_are_faults_or_fine_but_never_a_panic() {
    let files = odd_files();
    assert!(files.len() > 60);
    for bytes in files {
        for result in check_all(&bytes, &|_| Some("x".to_owned())) {
            let faults = result.err().unwrap_or_default();
            assert!(faults.len() < 1_000 && faults.iter().all(|fault| fault.to_string().len() < 4_096));
        }
    }
}

#[test]
fn a_shipped_file_cut_or_damaged_at_any_place_is_no_panic() {
    for (at, name) in FILES.iter().enumerate() {
        let text = fs::read(root().join("conf").join(name)).unwrap();
        for cut in (0..text.len()).step_by(text.len() / 20) {
            let mut texts: [&[u8]; 3] = [b"", b"", b""];
            texts[at] = &text[..cut];
            drop(check(&files(texts), &|_| None));
            let mut damaged = text.clone();
            damaged[cut] = b":{}[]-\t\n\"'&*!#"[cut % 14];
            texts[at] = &damaged;
            drop(check(&files(texts), &|_| None));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(check_all(&bytes, &|_| None));
    }

    #[test]
    fn no_yaml_of_known_names_makes_the_readers_panic(
        words in proptest::collection::vec(
            prop_oneof![
                Just("server"), Just("threads"), Just("listeners"), Just("address"), Just("tls"), Just("usage"),
                Just("providers"), Just("endpoint_sets"), Just("endpoints"), Just("set"), Just("under"), Just("upstream"),
                Just("credential"), Just("prices"), Just("version"), Just("per_million"), Just("input"), Just("env:X"),
                Just(": "), Just(":\n  "), Just("\n"), Just("\n- "), Just("{"), Just("}"), Just("["), Just("]"), Just(", "),
                Just("1"), Just("null"), Just("https://a"), Just("a"), Just("  "),
            ],
            0..40,
        )
    ) {
        drop(check_all(words.concat().as_bytes(), &|_| Some("1".to_owned())));
    }
}
