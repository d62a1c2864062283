//! How many questions a key may have under way: with a store that takes questions and does not answer.

use crate::support::{
    gateway::{Gateway, Grant, Options},
    http::Ask,
};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, sync_channel},
};

/// A store that fails every statement at once but statistics, which it hands to the test unanswered.
fn silent_store() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = sync_channel(16);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let sender = sender.clone();
            std::thread::spawn(move || {
                let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    seen.extend_from_slice(&piece[..read]);
                    let holds = |text: &str| memchr::memmem::find(&seen, text.as_bytes()).is_some();
                    if holds("FROM usage_events WHERE organization_id") {
                        drop(sender.send(stream));
                        return;
                    }
                    if holds("CREATE ") || holds("INSERT ") {
                        let answer = "HTTP/1.1 500 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
                        drop(stream.write_all(answer.as_bytes()));
                        return;
                    }
                }
            });
        }
    });
    (url, receiver)
}

#[tokio::test]
async fn a_key_with_a_question_under_way_is_refused_another_and_other_keys_are_not() {
    let (url, held) = silent_store();
    let options = Options::default().set("/usage/clickhouse", json!({"url": url}));
    let gateway = Gateway::start(options.set("/usage/queries_per_key_max", json!(1)));
    let (one, other) = (gateway.issue(&Grant::all("turns")).secret, gateway.issue(&Grant::all("turns")).secret);
    let ask = |target: &str, key: &str| Ask::get(target).bearer(key);
    let (client, again) = (gateway.client(), gateway.client());
    // an hour's edges: from the rows alone
    let (first, second) = (ask("/gw/stats?since=10m", &one), ask("/gw/stats?since=10m", &other));
    let tell = async {
        let (streams, held) = tokio::task::spawn_blocking(move || {
            let streams = [held.recv().unwrap(), held.recv().unwrap()];
            (streams, held)
        })
        .await
        .unwrap();
        for target in ["/gw/stats", "/gw/usage", "/gw/usage/01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            let refused = again.send(&ask(target, &one)).await.expect(429);
            assert_eq!(refused.header("retry-after"), Some("1"));
            assert_eq!(refused.header("x-gateway-limit"), Some("statistics"));
            assert_eq!(refused.json()["error"]["type"], "rate_limited");
        }
        // the store dies in the middle of both questions
        drop((streams, held));
    };
    let (first, second, ()) = tokio::join!(client.send(&first), client.send(&second), tell);
    for answer in [first, second] {
        let answer = answer.expect(503);
        assert_eq!(answer.json()["error"]["message"], "the usage store does not answer");
    }
}
