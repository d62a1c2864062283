//! 503: a store that does not answer.

use crate::{
    desk::{CHAT, Desk, Want},
    support::{
        gateway::{Gateway, Key, Options},
        http::Ask,
        wait::wait_until,
    },
};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use std::sync::Arc;
use tokio::net::TcpSocket;

/// Changes the control store behind the gateway's back.
async fn change(desk: &Desk, statement: &'static str) {
    let url = format!("sqlite://{}", desk.gateway.folder().join("control.sqlite").display());
    let mut connection = SqliteConnection::connect(&url).await.expect("the control store opens");
    sqlx::query(statement).execute(&mut connection).await.expect("the control store changes");
    connection.close().await.expect("the control store closes");
}

#[tokio::test]
async fn while_the_control_store_is_down_known_keys_go_on_and_others_wait() {
    let desk = Desk::at(Arc::new(Gateway::start(Options::default())), "stores-control");
    let fresh = desk.issue(|_| ());
    let chat = |key: &Key| Ask::chat(CHAT, "gpt-5.4-mini", "a").bearer(&key.secret);
    desk.passes("known", &chat(&desk.key)).await;
    // This makes the witness known, too.
    let nothing = Want::new(404, "not_found", "no such resource").unrecorded();
    desk.refuses("before", &Ask::get("/gw/nothing"), &nothing).await;
    change(&desk, "ALTER TABLE keys RENAME TO keys_away").await;
    let want = Want::new(503, "unavailable", "keys cannot be checked at the moment").unrecorded();
    desk.refuses("a key that is not known yet", &chat(&fresh), &want).await;
    desk.refuses("on our own endpoints", &Ask::get("/gw/me").bearer(&fresh.secret), &want).await;
    desk.passes("known", &chat(&desk.key)).await;
    change(&desk, "ALTER TABLE keys_away RENAME TO keys").await;
    let back = async || {
        let answer = desk.gateway.client().send(&Ask::get("/gw/me").bearer(&fresh.secret)).await;
        if answer.status() == 200 { Ok(()) } else { Err(answer.text()) }
    };
    wait_until("the store answers again", back).await;
    desk.passes("a key that was not known", &chat(&fresh)).await;
    desk.settle().await;
}

#[tokio::test]
async fn while_the_usage_store_is_down_statistics_are_unavailable() {
    // Bound and never listened on: nobody answers there.
    let port = TcpSocket::new_v4().expect("a socket");
    port.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = json!(format!("http://{}", port.local_addr().expect("an address")));
    let desk = Desk::at(Arc::new(Gateway::start(Options::default().set("/usage/clickhouse/url", url))), "stores-usage");
    let answer = desk.gateway.client().send(&Ask::get("/gw/stats").bearer(&desk.key.secret)).await;
    desk.check("statistics", &answer, &Want::new(503, "unavailable", "usage store"));
    let me = desk.gateway.client().send(&Ask::get("/gw/me").bearer(&desk.key.secret)).await;
    assert_eq!(me.status(), 200);
}
