//! The operator's commands: switching off, rotating, showing, and what is written down of every change.

use crate::{
    office::{Office, allow, refused},
    support::{
        gateway::{Gateway, Grant, Key, Options},
        http::Ask,
        wait::wait_until,
    },
};
use serde_json::{Value, json};

/// Runs a command with `--json` and gives what it printed.
fn run(gateway: &Gateway, arguments: &[&str]) -> Value {
    let config = gateway.config().display().to_string();
    let arguments: Vec<String> =
        arguments.iter().chain(&["--json", "--config", &config]).map(|argument| (*argument).to_owned()).collect();
    let output = gateway.run(&arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A gateway that reads keys again every second.
fn quick() -> Gateway {
    Gateway::start(Options::default().set("/auth/cache_age_max_seconds", json!(1)))
}

async fn becomes(gateway: &Gateway, key: &Key, status: u16) {
    let look = async || {
        let answer = gateway.client().send(&Ask::get("/gw/me").bearer(&key.secret)).await;
        if answer.status() == status { Ok(()) } else { Err(answer.text()) }
    };
    wait_until("the change is known", look).await;
}

#[tokio::test]
async fn no_key_of_an_organization_that_is_switched_off_is_taken() {
    let gateway = quick();
    let (key, other) = (gateway.issue(&Grant::all("off")), gateway.issue(&Grant::all("on")));
    becomes(&gateway, &key, 200).await;
    assert!(run(&gateway, &["org", "disable", "--org", "off"])["disabled_at"].is_string());
    becomes(&gateway, &key, 401).await;
    let chat = Ask::chat("/openai/v1/chat/completions", "gpt-5.4", "a");
    let answer = gateway.client().send(&chat.clone().bearer(&key.secret)).await;
    refused("switched off", &answer, 401, "organization is switched off");
    gateway.client().send(&chat.bearer(&other.secret)).await.expect(200);
    let again = run(&gateway, &["org", "disable", "--org", "off"]);
    assert_eq!(
        again["disabled_at"],
        run(&gateway, &["org", "show", "--org", "off"])["disabled_at"],
        "since the first time"
    );
    run(&gateway, &["org", "enable", "--org", "off"]);
    becomes(&gateway, &key, 200).await;
}

#[tokio::test]
async fn a_rotated_key_goes_on_until_its_time_and_the_new_one_may_do_the_same() {
    let gateway = quick();
    let mut grant = Grant::all("rotated");
    grant.arguments = ["--rps", "7", "--budget", "5/month", "--name", "ci"].map(str::to_owned).to_vec();
    let old = gateway.issue(&grant);
    let printed = run(&gateway, &["key", "rotate", &old.id, "--old-until", "1h"]);
    let new = Key::of(&printed).expect("a key");
    for key in [&old, &new] {
        becomes(&gateway, key, 200).await;
    }
    let show = |key: &Key| run(&gateway, &["key", "show", &key.id]);
    let (was, is) = (show(&old), show(&new));
    for name in ["organization", "name", "scopes", "entitlements", "limits", "environment"] {
        assert_eq!(was[name], is[name], "{name}");
    }
    assert!(was["expires_at"].is_string() && is["expires_at"].is_null(), "{was} {is}");
    assert_eq!((&is["budgets"][0]["limit"], &is["budgets"][0]["window"]), (&json!("5"), &json!("month")));
    let third = Key::of(&run(&gateway, &["key", "rotate", &new.id, "--old-until", "1s"])).expect("a key");
    becomes(&gateway, &new, 401).await;
    becomes(&gateway, &third, 200).await;
    let gone = gateway.command().args(["key", "rotate", &new.id, "--config"]).arg(gateway.config()).output().unwrap();
    assert_eq!(gone.status.code(), Some(1), "{}", String::from_utf8_lossy(&gone.stderr));
}

#[tokio::test]
async fn every_change_is_written_down_with_who_made_it_and_no_secret() {
    let office = Office::open(quick(), "audited");
    let (child, _) = office.issue(&json!({"scopes": ["stats:read"], "entitlements": [allow("openai", "gpt-*")]})).await;
    office.delete(&child.id, &office.manager).await.expect(204);
    office.delete(&child.id, &office.manager).await.expect(204);
    for command in [
        vec!["org", "set-budget", "--org", "audited", "--limit", "5"],
        vec!["org", "set-budget", "--org", "audited", "--limit", "6"],
        vec!["org", "set-limits", "--org", "audited", "--rps", "5"],
        vec!["org", "set-ceiling", "--org", "audited", "--scope", "stats:read"],
        vec!["org", "disable", "--org", "audited"],
        vec!["org", "set-budget", "--org", "audited", "--remove"],
    ] {
        run(&office.gateway, &command);
    }
    let rows = run(&office.gateway, &["audit", "list", "--org", "audited"]);
    let rows = rows.as_array().expect("a list");
    let told: Vec<(&str, bool)> = rows
        .iter()
        .map(|row| (row["what"].as_str().unwrap(), row["who"].as_str().unwrap().starts_with("command line, uid ")))
        .collect();
    assert_eq!(
        told,
        [
            ("organization.created", true),
            ("key.issued", true),
            ("key.issued", false),
            ("key.revoked", false),
            ("budget.set", true),
            ("budget.set", true),
            ("organization.limits_set", true),
            ("organization.ceiling_set", true),
            ("organization.disabled_set", true),
            ("budget.removed", true),
        ]
    );
    assert_eq!((&rows[2]["who"], &rows[2]["subject"]), (&json!(office.manager.id), &json!(child.id)));
    assert_eq!(rows[2]["after"]["entitlements"], json!([allow("openai", "gpt-*")]));
    assert_eq!((&rows[4]["before"], &rows[4]["after"]["limit"]), (&Value::Null, &json!("5")));
    assert_eq!((&rows[5]["before"]["limit"], &rows[5]["after"]["limit"]), (&json!("5"), &json!("6")));
    assert_eq!((&rows[6]["before"], &rows[6]["after"]), (&json!({}), &json!({"requests_per_second": 5})));
    assert_eq!((&rows[9]["before"]["limit"], &rows[9]["after"]), (&json!("6"), &Value::Null));
    let text = json!(rows).to_string();
    for key in [&office.manager, &child] {
        assert!(!text.contains(&key.secret), "{text}");
    }
}
