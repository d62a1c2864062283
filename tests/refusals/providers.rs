//! 502 and 504 before a provider's answer has begun; after that its failure ends the caller's connection.

use crate::{
    desk::{CHAT, Desk, PROMPT, Want},
    support::{
        gateway::{Gateway, Options},
        http::Ask,
        simulator::{self, Simulator},
    },
};
use serde_json::json;
use sociaro_gateway::base::clock::Duration;
use std::{fs, io::Write, net::TcpListener, sync::Arc};
use tokio::net::TcpSocket;

/// The shipped providers with a default replaced.
fn with_timeouts(default: &str, own: &str) -> String {
    let shipped = fs::read_to_string("conf/providers.yaml").expect("the shipped providers");
    let patched = shipped.replacen(default, own, 1);
    assert_ne!(shipped, patched);
    patched
}

fn patient_for_a_second() -> Options {
    Options::default().providers_yaml(&with_timeouts("#read_seconds: 600", "read_seconds: 1"))
}

/// A port of its own on which nobody listens, for as long as the value lives.
fn closed_port() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    (socket, url)
}

fn unreachable() -> Want {
    Want::new(502, "provider_unreachable", "the provider cannot be reached").closing()
}

/// A server that answers every connection in the clear, at once.
fn plain_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream.and_then(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
        }
    });
    format!("https://{address}")
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_a_bad_gateway() {
    let (_port, refused) = closed_port();
    let silent = Simulator::start(simulator::Options::default()).expect("a simulator");
    let (silent, plain) = (format!("https://{}", silent.address()), plain_server());
    let upstreams = [
        ("openai", &*refused),
        ("anthropic", &*plain),
        ("alibaba", &*silent),
        ("byteplus", "http://no-such-host.invalid"),
    ];
    let options = with_timeouts("#connect_ms: 5000", "connect_ms: 200").replacen(
        "#connect_total_ms: 10000",
        "connect_total_ms: 300",
        1,
    );
    let options = Options::default().providers_yaml(&options).upstreams(&upstreams);
    let desk = Desk::at(Arc::new(Gateway::start(options)), "providers-unreachable");
    let chat = |target: &str| Ask::chat(target, "m", PROMPT).bearer(&desk.key.secret);
    desk.refuses("refused", &chat(CHAT), &unreachable()).await;
    desk.refuses("refused, GET", &Ask::get("/openai/v1/models").bearer(&desk.key.secret), &unreachable()).await;
    desk.refuses("no TLS", &chat("/anthropic/v1/messages"), &unreachable()).await;
    desk.refuses("silence", &chat("/alibaba/compatible-mode/v1/chat/completions"), &unreachable()).await;
    desk.refuses("no such host", &chat("/byteplus/api/v3/chat/completions"), &unreachable()).await;
    desk.settle().await;
}

#[tokio::test]
async fn a_provider_that_breaks_off_before_its_answer_is_a_bad_gateway() {
    let desk = Desk::shared("providers-broken");
    desk.gateway.simulator.name("half", simulator::Reply::raw(*b"HTTP/1.1 200 OK\r\ncontent-le"));
    desk.gateway.simulator.name("colon", simulator::Reply::raw(*b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"));
    desk.gateway.simulator.name("status", simulator::Reply::raw(*b"HTTP/1.1 abc OK\r\n\r\n"));
    for knobs in ["reset", "fin", "garbage", "reply=half", "reply=colon", "reply=status"] {
        let ask = Ask::chat(CHAT, "gpt-5.4-mini", PROMPT).bearer(&desk.key.secret).sim(knobs);
        desk.refuses(knobs, &ask, &unreachable().upstream(1)).await;
    }
    desk.settle().await;
}

#[tokio::test]
async fn a_provider_that_does_not_begin_its_answer_in_time_is_a_gateway_timeout() {
    let desk = Desk::at(Arc::new(Gateway::start(patient_for_a_second())), "providers-timeout");
    let want = Want::new(504, "provider_timeout", "the provider did not begin its answer in time");
    let want = want.closing().upstream(1);
    let chat = Ask::chat(CHAT, "gpt-5.4-mini", PROMPT).bearer(&desk.key.secret);
    desk.refuses("never", &chat.clone().sim("never"), &want).await;
    let get = Ask::get("/openai/v1/models").bearer(&desk.key.secret);
    desk.refuses("never, GET", &get.sim("never"), &want).await;
    desk.passes("in time", &chat.sim("delay=200ms")).await;
    desk.settle().await;
}

/// Sends a request whose answer breaks off, and sees that it cannot be taken for a whole one.
async fn breaks_off(desk: &Desk, what: &str, ask: &Ask) {
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let answer = connection.answer(ask.method()).await;
    assert_eq!((answer.status(), answer.complete), (200, false), "{what}: {}", answer.text());
    assert!(!answer.text().contains("\"error\""), "{what}: nothing of ours is put into a provider's answer");
    let (rest, _how) = connection.to_end().await;
    assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(&rest));
    desk.expect_row(200, "provider_cut");
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_callers_connection() {
    let desk = Desk::at(Arc::new(Gateway::start(patient_for_a_second())), "providers-cut");
    let stream = json!({"model": "gpt-5.4-mini", "stream": true, "messages": [{"role": "user", "content": PROMPT}]});
    let stream = Ask::post(CHAT, &stream).bearer(&desk.key.secret);
    let whole = Ask::chat(CHAT, "gpt-5.4-mini", PROMPT).bearer(&desk.key.secret);
    for knobs in ["fin=30", "reset=30", "stall=30", "fin=0", "stall=0"] {
        breaks_off(&desk, knobs, &whole.clone().sim(knobs)).await;
        breaks_off(&desk, knobs, &whole.clone().sim(&format!("{knobs}; coding=gzip"))).await;
        breaks_off(&desk, knobs, &stream.clone().sim(&format!("{knobs}; words=20"))).await;
    }
    let chunks = *b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n";
    desk.gateway.simulator.name("chunks", simulator::Reply::raw(chunks));
    breaks_off(&desk, "a chunk without a size", &whole.clone().sim("reply=chunks")).await;
    desk.settle().await;
}

#[tokio::test]
async fn silence_within_an_answer_is_borne_up_to_its_bound() {
    let desk = Desk::at(Arc::new(Gateway::start(patient_for_a_second())), "providers-silence");
    let stream = json!({"model": "gpt-5.4-mini", "stream": true, "messages": [{"role": "user", "content": "a"}]});
    let slow = Ask::post(CHAT, &stream).bearer(&desk.key.secret);
    let pause = Duration::from_millis(400);
    let (answer, _) = desk.passes("slow", &slow.sim(&format!("words=4; chunk-delay={}ms", pause.as_millis()))).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    desk.settle().await;
}
