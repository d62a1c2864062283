//! Refusals of heads: ambiguous framing, methods of no use to a provider, heads that are too large.

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
