//! 429: rate and concurrency exact per key, and unknown keys held off per address.

use crate::{
    desk::{CHAT, Desk, Want},
    support::{
        gateway::{Gateway, Key, Options},
        http::{Answer, AnswerReader, Ask, Client, Connection},
        wait::wait_until,
    },
};
use futures_util::future::join_all;
use serde_json::json;
use sociaro_gateway::base::clock;
use std::{net::IpAddr, ops::Range, sync::Arc};

fn too_many(says: &str, limit: &'static str) -> Want {
    Want::new(429, "rate_limited", says).with_header("x-gateway-limit", limit)
}

fn limited(desk: &Desk, arguments: &[&str]) -> Key {
    desk.issue(|grant| grant.arguments = arguments.iter().map(|text| (*text).to_owned()).collect())
}

fn chat(key: &Key) -> Ask {
    Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret)
}

#[tokio::test]
async fn a_rate_is_exact_and_another_keys_rate_is_its_own() {
    let desk = Desk::shared("limits-rate");
    let (key, other) =
        (limited(&desk, &["--rps", "1", "--burst", "5"]), limited(&desk, &["--rps", "1", "--burst", "5"]));
    let (client, ask) = (&desk.gateway.client(), &chat(&key));
    let before = clock::instant();
    let answers = join_all((0..40).map(|_| client.send(ask))).await;
    let more = before.elapsed().as_secs() + 1;
    let passed: Vec<&Answer> = answers.iter().filter(|answer| answer.status() == 200).collect();
    // The burst, and what the seconds since the first one brought.
    assert!((5..=5 + more).contains(&(passed.len() as u64)), "{} of 40 passed", passed.len());
    let want = too_many("too many requests a second for this key", "rps");
    for answer in &answers {
        if answer.status() != 200 {
            desk.check("over the rate", answer, &want);
        }
        desk.expect_row(answer.status(), if answer.status() == 200 { "" } else { "rate_limited" });
    }
    for _ in 0..5 {
        desk.passes("another key's", &chat(&other)).await;
    }
    let look = async || {
        let answer = client.send(ask).await;
        desk.expect_row(answer.status(), if answer.status() == 200 { "" } else { "rate_limited" });
        if answer.status() == 200 { Ok(()) } else { Err(answer.text()) }
    };
    wait_until("the rate has room again", look).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_refused_request_uses_nothing_up_and_its_connection_goes_on() {
    let desk = Desk::shared("limits-once");
    let denied = desk.issue(|grant| {
        grant.allow = vec!["openai:gpt-5.4-mini".to_owned()];
        grant.arguments = ["--rps", "1", "--burst", "1"].map(str::to_owned).to_vec();
    });
    let other_model = Ask::chat(CHAT, "gpt-5.4", "a").bearer(&denied.secret);
    for _ in 0..5 {
        desk.refuses("no entitlement", &other_model, &Want::forbidden("may not use the model")).await;
    }
    desk.passes("the first that counts", &chat(&denied)).await;
    let (key, want) = (limited(&desk, &["--rps", "1"]), too_many("too many requests a second for this key", "rps"));
    // On a machine that stands still for a second even the second request has its place.
    let look = async || {
        let mut connection = desk.gateway.client().connect().await;
        for _ in 0..2 {
            let answer = connection.send(&chat(&key)).await;
            desk.expect_row(answer.status(), if answer.status() == 200 { "" } else { "rate_limited" });
            if answer.status() != 200 {
                desk.check("the second in a second", &answer, &want);
                let next = connection.send(&Ask::get("/gw/me").bearer(&key.secret)).await;
                return if next.status() == 200 { Ok(()) } else { Err(next.text()) };
            }
        }
        Err("both passed".to_owned())
    };
    wait_until("a second request in the same second is refused", look).await;
    desk.settle().await;
}

#[tokio::test]
async fn as_many_requests_at_once_as_the_limit_says_and_no_more() {
    let desk = Desk::shared("limits-concurrency");
    let (key, other) = (limited(&desk, &["--concurrency", "2"]), limited(&desk, &["--concurrency", "1"]));
    let stream = Ask::post(CHAT, &json!({"model": "gpt-5.4-mini", "stream": true, "messages": []}));
    let stream = stream.bearer(&key.secret).sim("words=1000; chunk-delay=100ms");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = desk.gateway.client().connect().await;
        connection.write(&stream.bytes()).await;
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
        assert_eq!(reader.so_far().status(), 200);
        held.push(connection);
    }
    let want = too_many("too many requests at once for this key", "concurrency");
    for _ in 0..3 {
        desk.refuses("the third", &chat(&key), &want).await;
    }
    desk.passes("another key's", &chat(&other)).await;
    drop(held.pop());
    desk.expect_row(200, "caller_gone");
    let look = async || {
        let answer = desk.gateway.client().send(&chat(&key)).await;
        desk.expect_row(answer.status(), if answer.status() == 200 { "" } else { "rate_limited" });
        if answer.status() == 200 { Ok(()) } else { Err(answer.text()) }
    };
    wait_until("a caller that has gone makes room", look).await;
    drop(held);
    desk.expect_row(200, "caller_gone");
    desk.settle().await;
}

/// A streamed chat that may have an answer of so many tokens, and whose answer stops after its head.
async fn stalled(desk: &Desk, key: &Key, max_tokens: u32) -> Connection {
    let body = json!({"model": "gpt-5.4-mini", "stream": true, "messages": [], "max_tokens": max_tokens});
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&Ask::post(CHAT, &body).bearer(&key.secret).sim("words=1000; stall=500").bytes()).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
    assert_eq!(reader.so_far().status(), 200);
    connection
}

#[tokio::test]
async fn tokens_are_held_while_a_request_goes_on_and_what_it_did_not_use_comes_back() {
    let desk = Desk::shared("limits-tokens");
    let ask = |key: &Key| {
        let body = json!({"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "a"}], "max_tokens": 900});
        Ask::post(CHAT, &body).bearer(&key.secret)
    };
    for arguments in [["--tpm", "1000"], ["--output-tpm", "1000"]] {
        let (key, other) = (limited(&desk, &arguments), limited(&desk, &arguments));
        // Each is taken for 900 tokens and more, and uses a few: five do not pass unless the rest comes back.
        for _ in 0..5 {
            desk.passes("one after the other", &ask(&key)).await;
        }
        let held = stalled(&desk, &key, 900).await;
        let want = too_many("too many tokens a minute for this key", "tokens");
        let refused = desk.refuses("beside another", &ask(&key), &want).await;
        let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((30..=60).contains(&seconds), "{seconds}");
        desk.passes("another key's", &ask(&other)).await;
        desk.passes("what uses none", &Ask::get("/openai/v1/models").bearer(&key.secret)).await;
        drop(held);
        desk.expect_row(200, "caller_gone");
        let look = async || {
            let answer = desk.gateway.client().send(&ask(&key)).await;
            desk.expect_row(answer.status(), if answer.status() == 200 { "" } else { "rate_limited" });
            if answer.status() == 200 { Ok(()) } else { Err(answer.text()) }
        };
        wait_until("what was not used comes back", look).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn an_organizations_limit_holds_for_all_its_keys_together() {
    let gateway = Gateway::start(Options::default().set("/auth/cache_age_max_seconds", json!(1)));
    let desk = Desk::at(Arc::new(gateway), "limits-organization");
    let other = desk.issue(|_| {});
    let config = desk.gateway.config().display().to_string();
    let command =
        ["org", "set-limits", "--org", "limits-organization", "--concurrency", "2", "--json", "--config", &config];
    let output = desk.gateway.run(&command.map(str::to_owned));
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["limits"], json!({"concurrent_requests": 2}));
    let held = [stalled(&desk, &desk.key, 5).await, stalled(&desk, &other, 5).await];
    let want = too_many("too many requests at once for this organization", "concurrency");
    for key in [&desk.key, &other] {
        let look = async || {
            let answer = desk.gateway.client().send(&chat(key)).await;
            desk.expect_row(answer.status(), if answer.status() == 200 { "" } else { "rate_limited" });
            if answer.status() == 429 { Ok(()) } else { Err(answer.text()) }
        };
        // Records of keys are read again within a second.
        wait_until("the limit is known", look).await;
        desk.refuses("the third", &chat(key), &want).await;
    }
    drop(held);
    desk.expect_row(200, "caller_gone");
    desk.expect_row(200, "caller_gone");
    desk.gateway.wait_for_metrics("the places are free", |metrics| metrics.total("gateway_permits") == 0.0).await;
    desk.passes("with room again", &chat(&other)).await;
    desk.settle().await;
}

fn unknown(at: usize) -> String {
    format!("gw_live_{at:048x}")
}

async fn strangers(client: &Client, target: &str, keys: Range<usize>) -> Vec<Answer> {
    let asks: Vec<Ask> = keys.map(|at| Ask::get(target).bearer(&unknown(at))).collect();
    join_all(asks.iter().map(|ask| client.send(ask))).await
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_held_off_by_address_and_known_keys_pass() {
    let options = Options::default().set("/auth/unknown_per_second_max", json!(3));
    let desk = Desk::at(Arc::new(Gateway::start(options)), "limits-flood");
    desk.passes("known before", &chat(&desk.key)).await;
    let here = desk.gateway.client();
    let elsewhere = here.from(IpAddr::from([127, 0, 0, 2]));
    let at_our_own = here.from(IpAddr::from([127, 0, 0, 3]));
    let known = Ask::get("/gw/me").bearer(&desk.key.secret);
    let (flood, own, few, passed) = tokio::join!(
        strangers(&here, "/openai/v1/models", 0..60),
        strangers(&at_our_own, "/gw/me", 100..160),
        strangers(&elsewhere, "/openai/v1/models", 200..203),
        here.send(&known)
    );
    let want = too_many("too many unknown keys from this address", "unknown_keys").unrecorded();
    for answers in [&flood, &own] {
        let mut refused = 0;
        for answer in answers {
            if answer.status() == 429 {
                refused += 1;
                desk.check("held off", answer, &want);
            } else {
                desk.check("unknown", answer, &Want::unauthorized("this gateway key is not known"));
            }
        }
        // Three in each second; sixty at once do not take a quarter of a minute.
        assert!(refused >= 15, "{refused} of 60 were held off");
    }
    for answer in &few {
        desk.check("another address", answer, &Want::unauthorized("this gateway key is not known"));
    }
    assert_eq!(passed.status(), 200, "a known key from the same address");
    desk.settle().await;
}
