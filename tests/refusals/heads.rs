//! Refusals of heads: ambiguous framing, methods of no use to a provider, heads that are too large; and refusals of requests
//! whose answer or body is of a special kind.

use crate::{
    desk::{CHAT, Desk, Want},
    support::http::Ask,
};

/// Refused before anything is read of the request: nothing is recorded, and the connection ends.
fn early(want: Want) -> Want {
    want.unrecorded().closing()
}

#[tokio::test]
async fn a_head_that_two_servers_could_read_differently_is_refused() {
    let desk = Desk::shared("heads-ambiguous");
    let post = || Ask::new("POST", CHAT).bearer(&desk.key.secret).header("content-type", "application/json");
    let coding = "the only transfer coding that is supported is chunked";
    let framings = "both Content-Length and Transfer-Encoding";
    let cases = [
        ("two framings", post().header("transfer-encoding", "chunked").body("{}"), framings),
        ("gzip as a transfer coding", post().header("transfer-encoding", "gzip, chunked"), coding),
        ("chunked twice", post().header("transfer-encoding", "chunked").header("transfer-encoding", "chunked"), coding),
        ("an empty host", post().header("host", "").body("{}"), "exactly one Host header"),
    ];
    for (what, ask, says) in cases {
        desk.refuses(what, &ask, &early(Want::bad_request(says))).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_method_of_no_use_to_a_provider_is_not_allowed() {
    let desk = Desk::shared("heads-method");
    for method in ["TRACE", "PROPFIND", "get"] {
        let ask = Ask::new(method, "/openai/v1/models").bearer(&desk.key.secret);
        let want = Want::new(405, "method_not_allowed", "this method is not supported");
        let want = want.with_header("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        desk.refuses(method, &ask, &early(want)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_head_over_its_bound_is_too_large() {
    let desk = Desk::shared("heads-large");
    let ask = Ask::get("/openai/v1/models").bearer(&desk.key.secret).header("x-large", &"x".repeat(64 * 1024));
    desk.refuses("64 KiB", &ask, &early(Want::too_large("the request's head is too large"))).await;
    desk.settle().await;
}

/// A body behind an answer to HEAD would be taken for the next answer.
#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let desk = Desk::shared("heads-head");
    let stranger = Ask::new("HEAD", "/openai/v1/models");
    let key = &desk.key.secret;
    let cases = [
        (stranger.clone(), 401),
        (stranger.header("x-api-key", key), 401),
        (Ask::new("HEAD", "/nobody/v1/models").bearer(key), 404),
        (Ask::new("HEAD", "/openai/v1/../models").bearer(key), 400),
        (Ask::new("HEAD", "/gw/nothing").bearer(key), 404),
        (Ask::new("HEAD", "/gw/me"), 401),
        (Ask::new("HEAD", "/gw/stats?limit=0").bearer(key), 400),
    ];
    let mut connection = desk.gateway.client().connect().await;
    for (ask, status) in &cases {
        let answer = connection.send(ask).await;
        assert_eq!((answer.status(), answer.complete, answer.body.len()), (*status, true, 0), "{ask:?}");
        assert!(answer.header("x-gateway-request-id").is_some(), "{:?}", answer.head);
        let next = connection.send(&Ask::get("/gw/me").bearer(key)).await;
        assert_eq!(next.status(), 200, "behind {ask:?}");
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_caller_that_waits_to_send_its_body_is_not_asked_for_it_in_vain() {
    let desk = Desk::shared("heads-expect");
    let waits = Ask::new("POST", CHAT)
        .header("content-type", "application/json")
        .header("content-length", "1000")
        .header("expect", "100-continue");
    let stranger = desk.refuses("no key", &waits, &Want::unauthorized("there is no gateway key").closing()).await;
    assert_eq!(stranger.interim.len(), 0);
    let key = desk.issue(|grant| grant.allow = vec!["openai:gpt-5.4-mini".to_owned()]);
    let asked = Ask::chat(CHAT, "gpt-5.4", "a").bearer(&key.secret).header("expect", "100-continue");
    let refused = desk.refuses("a model", &asked, &Want::forbidden("may not use the model \"gpt-5.4\"")).await;
    assert_eq!(refused.interim.len(), 1, "the body says which model it is");
    desk.settle().await;
}
