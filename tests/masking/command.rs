//! `sociaro-gateway mask`, as people run it.

use serde_json::{Value, json};
use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

fn mask(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sociaro-gateway"))
        .arg("mask")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> &str {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn text_goes_in_and_masked_text_comes_out() {
    let output = mask(&[], "Grüße an ada@example.org,\nTel. +44 20 7946 0958\n".as_bytes());
    assert_eq!(out(&output), "Grüße an <EMAIL_1>,\nTel. <PHONE_1>\n");
}

#[test]
fn json_tells_the_findings_by_characters_and_no_values() {
    let output = mask(&["--json"], "ÄÖ ada@example.org".as_bytes());
    let value: Value = serde_json::from_str(out(&output)).unwrap();
    let expected = json!({
        "masked": "ÄÖ <EMAIL_1>",
        "findings": [{"start": 3, "end": 18, "type": "EMAIL"}],
        "counts": {"EMAIL": 1},
    });
    assert_eq!(value, expected);
}

#[test]
fn rows_come_back_with_their_ids_and_spans() {
    let rows = "{\"id\":\"a\",\"text\":\"👋 203.0.113.9\",\"kind\":\"pos\"}\n\n{\"id\":7,\"text\":\"nothing\"}\n";
    let output = mask(&["--jsonl"], rows.as_bytes());
    let lines: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [json!({"id": "a", "spans": [{"start": 2, "end": 13, "type": "IP_ADDRESS"}]}), json!({"id": 7, "spans": []}),]
    );
}

#[test]
fn bad_input_fails_without_showing_it() {
    for (arguments, input, status, words) in [
        (&["--jsonl"][..], &b"{\"id\":1,\"text\":\"ada@example.org\n"[..], 1, "row 1"),
        (&["--jsonl"], b"{\"id\":1}\n", 1, "row 1"),
        (&[], b"ada@example.org \xff", 1, "not UTF-8"),
        (&["--json", "--jsonl"], b"", 2, "cannot be used with"),
    ] {
        let output = mask(arguments, input);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("ada@"), "{told}");
    }
}
