//! Over a WebSocket: the handshake's headers, and every byte of every frame, both ways.

use crate::{
    lane::{Lane, assert_same, head, mark, noise},
    support::{
        http::{Answer, Ask, Connection},
        simulator::{Break, Fault, Gate, Reply, Request},
    },
};
use sociaro_gateway::base::clock::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};

const TARGET: &str = "/openai/v1/realtime?model=gpt-realtime&x=%2F";
const SOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const CLOSE: u8 = 0x8;

/// One frame as it is on the wire.
fn frame(last: bool, kind: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![u8::from(last) << 7 | kind];
    let masked = u8::from(mask.is_some()) << 7;
    match payload.len() {
        size @ 0..126 => bytes.push(masked | u8::try_from(size).unwrap()),
        size @ 126..65_536 => {
            bytes.push(masked | 0x7e);
            bytes.extend_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
        }
        size => {
            bytes.push(masked | 0x7f);
            bytes.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| bytes.extend_from_slice(mask)).unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn closing(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// Text in fragments with a ping between them, a binary message of each length's form, an empty one, and the close.
fn frames(mask: Option<[u8; 4]>) -> Vec<Vec<u8>> {
    vec![
        frame(false, 1, "{\"type\":\"é".as_bytes(), mask),
        frame(true, 9, b"ping \x00\xff", mask),
        frame(false, 0, b"", mask),
        frame(true, 0, b"x\"}", mask),
        frame(true, 2, &noise(125), mask),
        frame(true, 2, &noise(126), mask),
        frame(true, 2, &noise(70_000), mask),
        frame(true, 1, b"", mask),
        frame(true, 10, b"unasked pong", mask),
        frame(true, CLOSE, &closing(4321, "good-bye, \u{20ac}"), mask),
    ]
}

fn handshake(more: &[&str], mark: &str) -> Ask {
    let mut ask = Ask::get(TARGET).line("Host: gateway.test");
    for line in more {
        ask = ask.line(line);
    }
    ask.line("Upgrade: websocket")
        .line("Connection: Upgrade")
        .line(&format!("Sec-WebSocket-Key: {SOCKET_KEY}"))
        .line("Sec-WebSocket-Version: 13")
        .line("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        .line("Origin: https://app.example")
        .line(&format!("X-Mark: {mark}"))
}

/// These bytes, the first at once (it is the head) and each other one when the gate lets it pass.
fn reply(lines: &[&str], frames: &[Vec<u8>], gate: &Gate) -> Reply {
    Reply::raw_pieces([&[head(lines)], frames].concat()).delivered(|delivery| {
        delivery.gate = Some(gate.clone());
        delivery.delay_head = AFAR;
    })
}

/// A provider answers from afar: Pingora closes a WebSocket at once whose `101` it meets before it has noted that the
/// request has no body.
const AFAR: Duration = Duration::from_millis(50);

async fn upgraded(lane: &Lane, ask: &Ask) -> Connection {
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let answer = connection.answer("GET").await.expect(101);
    assert_eq!(answer.head.values("x-gateway-request-id").count(), 1);
    connection
}

#[tokio::test]
async fn a_handshakes_headers_pass_and_its_key_is_replaced() {
    let lane = Lane::new("socket-head");
    let mark = mark();
    let bearer = format!("Authorization: {}", lane.bearer());
    let connection = upgraded(&lane, &handshake(&[&bearer, "OpenAI-Beta: realtime=v1"], &mark)).await;
    drop(connection);
    let received = lane.received(&mark, &Answer::default()).await;
    let mut lines: Vec<&str> = received.head.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        &format!("Host: {}", lane.gateway.simulator.address()),
        &format!("Authorization: Bearer {}", lane.gateway.credential("openai")),
        "OpenAI-Beta: realtime=v1",
        // These two are written anew.
        "upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Key: {SOCKET_KEY}"),
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Origin: https://app.example",
        &format!("X-Mark: {mark}"),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(received.target(), "/v1/realtime?model=gpt-realtime&x=%2F");
}

#[tokio::test]
async fn a_key_in_a_subprotocol_leaves_and_the_chosen_subprotocol_comes_back() {
    let lane = Lane::new("socket-protocol");
    let mark = mark();
    let offered = format!("realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1", lane.key.secret);
    let ask = handshake(&[&format!("Sec-WebSocket-Protocol: {offered}")], &mark);
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let answer = connection.answer("GET").await.expect(101);
    assert_eq!(answer.head.values("sec-websocket-protocol").collect::<Vec<_>>(), ["realtime"]);
    let received = lane.received(&mark, &answer).await;
    let offered: Vec<&str> = received.head.values("sec-websocket-protocol").collect();
    assert_eq!(offered, ["realtime, openai-beta.realtime-v1"]);
    let credential = format!("Bearer {}", lane.gateway.credential("openai"));
    assert_eq!(received.header("authorization"), Some(&*credential));
}

#[tokio::test]
async fn frames_of_the_caller_reach_the_provider_byte_for_byte() {
    let lane = Lane::new("socket-up");
    let mark = mark();
    let bearer = format!("Authorization: {}", lane.bearer());
    let mut connection = upgraded(&lane, &handshake(&[&bearer], &mark).sim("delay=50")).await;
    let frames = frames(Some([0x37, 0xfa, 0x21, 0x3d]));
    let mut sent = Vec::new();
    for frame in frames {
        // Bytes of a frame come one by one at its beginning.
        let (first, rest) = frame.split_at(frame.len().min(5));
        for byte in first {
            connection.write(&[*byte]).await;
        }
        connection.write(rest).await;
        sent.extend_from_slice(&frame);
    }
    let arrived =
        |request: &Request| request.header("x-mark") == Some(&mark) && request.after_upgrade.len() >= sent.len();
    let received = lane.gateway.simulator.wait_for("all frames", arrived).await.unwrap();
    assert_same("frames", &received.after_upgrade, &sent);
    let (answered, _) = connection.to_end().await;
    let close = frame(true, CLOSE, &closing(4321, "good-bye, \u{20ac}"), None);
    assert!(answered.ends_with(&close), "the provider's close with its code: {}", answered.escape_ascii());
}

#[tokio::test]
async fn frames_of_the_provider_reach_the_caller_byte_for_byte_and_each_before_the_next() {
    let lane = Lane::new("socket-down");
    let lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "X-Request-Id: req_1",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "Connection: Upgrade",
    ];
    let frames = frames(None);
    let gate = Gate::default();
    let knob = lane.reply(reply(&lines, &frames, &gate));
    let ask = handshake(&[&format!("Authorization: {}", lane.bearer())], &mark()).sim(&knob);
    let mut connection = lane.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let answer = connection.answer("GET").await.expect(101);
    let mut found: Vec<&str> = answer.head.lines().filter(|line| !line.starts_with("X-Gateway-Request-Id:")).collect();
    let mut expected = lines[1..].to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for frame in &frames {
        gate.let_one_pass();
        let came = connection.exactly(frame.len()).await;
        assert!(came.len() == frame.len(), "the connection ended: {}", lane.usage_of(&answer).await);
        assert_same("frame", &came, frame);
    }
    let (rest, end) = connection.to_end().await;
    assert!(rest.is_empty() && end.is_ok(), "{rest:?} {end:?}");
    let record = lane.usage_of(&answer).await;
    let found = (&record["status"], &record["endpoint"], &record["model_requested"], &record["streamed"]);
    assert_eq!(found, (&101.into(), &"realtime".into(), &"gpt-realtime".into(), &true.into()), "{record}");
}

#[tokio::test]
async fn a_provider_that_does_not_upgrade_answers_as_usual() {
    let lane = Lane::new("socket-refused");
    let reply = Reply::json(403, "{\"error\": {\"code\": \"theirs\"}}");
    let ask = handshake(&[&format!("Authorization: {}", lane.bearer())], &mark()).sim(&lane.reply(reply));
    let answer = lane.gateway.client().send(&ask).await.expect(403);
    assert_eq!(answer.text(), "{\"error\": {\"code\": \"theirs\"}}");
}

#[tokio::test]
async fn a_handshake_that_met_a_closing_connection_is_made_on_another() {
    let lane = Lane::alone("socket-again");
    let models = Ask::get("/openai/v1/models").header("authorization", &lane.bearer());
    lane.gateway.client().send(&models).await.expect(200);
    let (mark, tries) = (mark(), AtomicUsize::new(0));
    let marked = mark.clone();
    let lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
    let frames = frames(None);
    let gate = Gate::default();
    let second = reply(&lines, &frames, &gate);
    lane.gateway.simulator.script(move |request| {
        let is_it = request.header("x-mark") == Some(&marked);
        is_it.then(|| match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::empty(200).with_fault(Fault::BeforeHead(Break::Fin)),
            _ => second.clone(),
        })
    });
    let ask = handshake(&[&format!("Authorization: {}", lane.bearer())], &mark);
    let mut connection = upgraded(&lane, &ask).await;
    for frame in &frames {
        gate.let_one_pass();
        assert_same("frame", &connection.exactly(frame.len()).await, frame);
    }
}
