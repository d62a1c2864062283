//! The simulator keeps its own promises: what it records is what arrived, and what it sends is what it was told to.
#![cfg(test)]

pub mod support;

use serde_json::{Value, json};
use sociaro_gateway::base::clock::{self, Duration};
use std::io::Read;
use support::{
    http::{Answer, AnswerReader, Ask, Client, Connection},
    simulator::{Break, Coding, Cuts, Family, Fault, Framing, Gate, Options, Reply, Simulator, usage},
    wait::wait_until,
};

const CHAT: &str = "/v1/chat/completions";

fn start() -> (Simulator, Client) {
    let simulator = Simulator::start(Options::default()).unwrap();
    let client = Client::of(simulator.address());
    (simulator, client)
}

fn chat(knobs: &str) -> Ask {
    Ask::chat(CHAT, "gpt-5.4", "one two three").sim(knobs)
}

fn streamed(target: &str, body: &Value) -> Ask {
    let mut body = body.clone();
    body["stream"] = true.into();
    Ask::post(target, &body)
}

fn messages(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "one two three"}]})
}

/// The JSON of each `data:` line.
fn events(answer: &Answer) -> Vec<Value> {
    let lines = answer.text();
    let data = lines.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_request_is_recorded_to_the_byte() {
    let (simulator, client) = start();
    let head = "POST /v1/chat/completions?x=%2F&&y HTTP/1.1\r\nHoSt:  a.test \r\nX-Dup: 1\r\nx-dup:2\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let body = "5;ext=\"1\"\r\n{\"a\":\r\n3\r\n 1}\r\n0\r\nTrailer: t\r\n\r\n";
    let mut connection = client.connect().await;
    for byte in [head, body].concat().as_bytes() {
        connection.write(&[*byte]).await;
    }
    connection.answer("POST").await.expect(200);
    let request = simulator.wait_for_requests(1).await.unwrap().remove(0);
    assert_eq!(String::from_utf8_lossy(&request.head.0), head);
    assert_eq!(String::from_utf8_lossy(&request.body_raw), body);
    assert_eq!(request.body, b"{\"a\": 1}");
    assert_eq!(request.head.values("x-dup").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((request.method(), request.path(), request.query()), ("POST", CHAT, Some("x=%2F&&y")));
}

#[tokio::test]
async fn requests_on_one_connection_are_told_apart() {
    let (simulator, client) = start();
    let (first, second) = (chat("").bytes(), Ask::get("/v1/models").bytes());
    let mut connection = client.connect().await;
    connection.write(&[first.clone(), second.clone()].concat()).await;
    connection.answer("POST").await.expect(200);
    connection.answer("GET").await.expect(200);
    let requests = simulator.wait_for_requests(2).await.unwrap();
    let wire: Vec<Vec<u8>> = requests.iter().map(|request| [&*request.head.0, &request.body_raw].concat()).collect();
    assert_eq!(wire, [first, second]);
    assert_eq!((requests[0].connection, requests[1].connection), (0, 0));
    assert_eq!(simulator.connections_open(), 1);
    drop(connection);
    simulator.wait_for_connections_open(0).await.unwrap();
}

#[tokio::test]
async fn the_same_bytes_come_whatever_the_framing_and_the_cuts() {
    let (simulator, client) = start();
    let pieces: Vec<Vec<u8>> = (0..40).map(|index| format!("data: {{\"é\":{index}}}\n\n").into_bytes()).collect();
    let expected = pieces.concat();
    for framing in [Framing::ContentLength, Framing::Chunked, Framing::Close] {
        for cuts in [Cuts::Pieces, Cuts::Whole, Cuts::Every(1), Cuts::Every(7), Cuts::Odd(3)] {
            let reply = Reply::events(pieces.clone()).delivered(|delivery| {
                delivery.framing = framing;
                delivery.cuts = cuts;
            });
            simulator.name("cut", reply);
            let answer = client.send(&Ask::get("/any").sim("reply=cut")).await.expect(200);
            assert_eq!((&answer.body, answer.complete), (&expected, true), "{framing:?} {cuts:?}");
            let chunks = answer.body_raw.split(|byte| *byte == b'\r').count();
            let cut = framing == Framing::Chunked && cuts == Cuts::Every(1);
            assert_eq!(chunks > expected.len(), cut, "{framing:?} {cuts:?}");
        }
    }
}

fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut reader: Box<dyn Read + '_> = match coding {
        Coding::Identity => Box::new(bytes),
        Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        Coding::Deflate => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
    };
    // A part of a stream ends with an error after all that could be decoded.
    drop(reader.read_to_end(&mut decoded));
    decoded
}

#[tokio::test]
async fn each_event_of_a_coded_stream_can_be_decoded_when_it_has_arrived() {
    let (_simulator, client) = start();
    let plain = client.send(&streamed(CHAT, &messages("gpt-5.4"))).await.expect(200);
    let first = plain.text().split_inclusive("\n\n").next().unwrap().to_owned();
    for (name, coding) in
        [("gzip", Coding::Gzip), ("br", Coding::Brotli), ("zstd", Coding::Zstd), ("deflate", Coding::Deflate)]
    {
        let ask = streamed(CHAT, &messages("gpt-5.4")).sim(&format!("coding={name}; chunk-delay=300ms"));
        let mut connection = client.connect().await;
        connection.write(&ask.bytes()).await;
        let mut reader = AnswerReader::new("POST");
        connection.answer_until(&mut reader, |answer| !answer.body.is_empty()).await;
        let begun = decode(coding, &reader.so_far().body);
        assert!(String::from_utf8_lossy(&begun).contains("chat.completion.chunk"), "{name}");
        assert_eq!(begun.len(), first.len(), "{name}: the first event, and no more");
        drop(connection);

        let whole = client.send(&streamed(CHAT, &messages("gpt-5.4")).sim(&format!("coding={name}"))).await;
        assert_eq!(whole.header("content-encoding"), Some(name));
        let text = String::from_utf8(decode(coding, &whole.body)).unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{name}: {text}");
    }
}

#[tokio::test]
async fn answers_break_off_where_they_are_told_to() {
    let (_simulator, client) = start();
    let whole = client.send(&chat("")).await.expect(200);
    for (knobs, body_bytes, reset) in
        [("fin", None, false), ("reset", None, true), ("fin=20", Some(20), false), ("fin=0", Some(0), false)]
    {
        let mut connection = client.connect().await;
        connection.write(&chat(knobs).bytes()).await;
        let (bytes, end) = connection.to_end().await;
        let body = memchr::memmem::find(&bytes, b"\r\n\r\n").map(|end| bytes.len() - end - 4);
        assert_eq!((body, end.is_err()), (body_bytes, reset), "{knobs}");
    }
    let cut = client.send(&chat("reset=20")).await;
    assert!(!cut.complete && whole.body.starts_with(&cut.body), "{cut:?}");
}

#[tokio::test]
async fn a_peer_that_goes_away_is_noticed_while_the_answer_is_under_way() {
    let (simulator, client) = start();
    for knobs in ["never", "stall=30", "delay=600s", "chunk-delay=600s"] {
        let mut connection = client.connect().await;
        connection.write(&streamed(CHAT, &messages("gpt-5.4")).sim(knobs).bytes()).await;
        let marked = |request: &support::simulator::Request| request.header("x-sim") == Some(knobs);
        simulator.wait_for("the request is whole", |request| marked(request) && request.complete).await.unwrap();
        drop(connection);
        let gone = |request: &support::simulator::Request| marked(request) && request.peer_closed_at.is_some();
        let request = simulator.wait_for("its peer has gone", gone).await.unwrap();
        assert_eq!(request.answered_at, None, "{knobs}");
    }
    simulator.wait_for_connections_open(0).await.unwrap();
}

#[tokio::test]
async fn delays_hold_up_the_head_and_each_chunk() {
    let (_simulator, client) = start();
    let started = clock::instant();
    client.send(&chat("delay=120ms")).await.expect(200);
    assert!(started.elapsed() >= Duration::from_millis(120));
    let started = clock::instant();
    client.send(&chat("chunk=whole; delay=0; chunk-delay=5s")).await.expect(200);
    assert!(started.elapsed() < Duration::from_secs(5), "a single write has no chunk before it");
    let started = clock::instant();
    client.send(&streamed(CHAT, &messages("gpt-5.4")).sim("chunk-delay=20ms")).await.expect(200);
    assert!(started.elapsed() >= Duration::from_millis(20 * 5));
}

#[tokio::test]
async fn a_gate_holds_each_piece_back_until_it_may_pass() {
    let (simulator, client) = start();
    let gate = Gate::default();
    let pieces: Vec<Vec<u8>> = (0..5).map(|at| vec![b'0' + at; 3]).collect();
    let reply = Reply::pieces("text/plain", pieces).delivered(|delivery| delivery.gate = Some(gate.clone()));
    simulator.name("gated", reply);
    let mut connection = client.connect().await;
    connection.write(&Ask::get("/any").sim("reply=gated").bytes()).await;
    let mut reader = AnswerReader::new("GET");
    for count in 1..=5 {
        connection.answer_until(&mut reader, |answer| answer.body.len() >= count * 3).await;
        assert_eq!(reader.so_far().body.len(), count * 3, "and nothing of the next");
        gate.let_one_pass();
    }
    connection.answer_until(&mut reader, |_| false).await;
    assert!(reader.end().complete);
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let (_simulator, client) = start();
    for status in [204, 304, 302] {
        let answer = client.send(&chat(&format!("status={status}"))).await.expect(status);
        assert_eq!((answer.body.len(), answer.complete), (0, true), "{status}");
        assert_eq!(answer.header("location").is_some(), (300..400).contains(&status));
    }
    let mut connection = client.connect().await;
    let head = connection.send(&Ask::new("HEAD", "/v1/models")).await.expect(200);
    assert_ne!(head.header("content-length"), Some("0"));
    assert_eq!(connection.send(&Ask::get("/v1/models")).await.expect(200).json()["object"], "list");
}

#[tokio::test]
async fn heads_can_be_odd() {
    let (_simulator, client) = start();
    let answer = client.send(&chat("interim=103; duplicate=3; header-bytes=70000; trailing=4; close")).await;
    assert_eq!(answer.interim.len(), 1);
    assert_eq!(answer.head.values("x-sim-duplicate").collect::<Vec<_>>(), ["0", "1", "2"]);
    assert_eq!(answer.header("x-sim-huge").map(str::len), Some(70_000));
    assert_eq!(answer.header("connection"), Some("close"));
    let mut connection = client.connect().await;
    connection.send(&chat("trailing=4; close")).await.expect(200);
    let (left, end) = connection.to_end().await;
    assert_eq!((left, end.is_ok()), (b"!!!!".to_vec(), true));
    let chunked = client.send(&streamed(CHAT, &messages("m")).sim("extension; trailers")).await.expect(200);
    let raw = String::from_utf8(chunked.body_raw).unwrap();
    assert!(raw.contains(";sim=\"1\"\r\n") && raw.ends_with("0\r\nx-sim-trailer: end\r\n\r\n"), "{raw}");
    let mut connection = client.connect().await;
    connection.write(&chat("garbage").bytes()).await;
    assert!(connection.to_end().await.0.starts_with(b"\x15\x03\x01"));
}

#[tokio::test]
async fn expect_continue_is_answered_as_the_test_wants() {
    let (simulator, client) = start();
    let ask = |knobs: &str| chat(knobs).header("expect", "100-continue").bytes();
    let head_of = |bytes: &[u8]| memchr::memmem::find(bytes, b"\r\n\r\n").unwrap() + 4;

    let bytes = ask("");
    let mut connection = client.connect().await;
    connection.write(&bytes[..head_of(&bytes)]).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| !answer.interim.is_empty()).await;
    connection.write(&bytes[head_of(&bytes)..]).await;
    connection.answer_until(&mut reader, |_| false).await;
    assert_eq!(reader.end().expect(200).interim[0].word(1), "100");

    let bytes = ask("continue=refuse");
    let mut connection = client.connect().await;
    connection.write(&bytes[..head_of(&bytes)]).await;
    let refused = connection.answer("POST").await.expect(417);
    assert!(refused.interim.is_empty());

    assert!(
        client.connect().await.send(&chat("continue=never").header("expect", "100-continue")).await.interim.is_empty()
    );
    let refused = simulator.matching(|request| request.header("x-sim") == Some("continue=refuse"));
    assert_eq!((refused[0].complete, refused[0].body_raw.len()), (false, 0));
}

#[tokio::test]
async fn an_early_answer_and_an_unread_body_are_possible() {
    let (simulator, client) = start();
    let mut connection = client.connect().await;
    connection.write(b"POST /v1/files HTTP/1.1\r\nx-sim: early; status=400\r\ncontent-length: 10\r\n\r\n").await;
    connection.answer("POST").await.expect(400);

    let mut connection = client.connect().await;
    connection.write(b"POST /v1/files HTTP/1.1\r\nx-sim: read=4\r\ncontent-length: 1000\r\n\r\n12345").await;
    let stalled = |request: &support::simulator::Request| request.body.len() >= 4;
    simulator.wait_for("part of the body was read", stalled).await.unwrap();
    drop(connection);
    let gone = |request: &support::simulator::Request| stalled(request) && request.peer_closed_at.is_some();
    assert!(!simulator.wait_for("its peer has gone", gone).await.unwrap().complete);
}

#[tokio::test]
async fn unknown_knobs_and_replies_are_told() {
    let (_simulator, client) = start();
    for (knobs, told) in [
        ("colour=red", "there is no knob `colour`"),
        ("delay=soon", "`soon` is no value of `delay`"),
        ("coding=rot13", "`rot13` is no value of `coding`"),
        ("reply=nobody", "no reply is registered as `nobody`"),
    ] {
        let answer = client.send(&chat(knobs)).await.expect(400);
        assert!(answer.text().contains(told), "{knobs}: {}", answer.text());
    }
}

#[tokio::test]
async fn scripts_come_before_dialects_and_the_newest_first() {
    let (simulator, client) = start();
    simulator.script(|_| Some(Reply::empty(418)));
    simulator.script(|request| (request.path() == "/new").then(|| Reply::json(200, "{}")));
    client.send(&Ask::get("/new")).await.expect(200);
    client.send(&Ask::get("/old")).await.expect(418);
}

#[tokio::test]
async fn faults_can_be_scripted_too() {
    let (simulator, client) = start();
    simulator.name("stalls", Reply::json(200, "{}").with_fault(Fault::AfterBody(1, Break::Fin)));
    let answer = client.send(&Ask::get("/any").sim("reply=stalls")).await;
    assert_eq!((answer.body, answer.complete), (b"{".to_vec(), false));
    simulator.name("raw", Reply::raw(*b"HTTP/1.1 2"));
    let mut connection: Connection = client.connect().await;
    connection.write(&Ask::get("/any").sim("reply=raw").bytes()).await;
    assert_eq!(connection.to_end().await.0, b"HTTP/1.1 2");
}

#[tokio::test]
async fn each_family_refuses_a_wrong_credential_in_its_own_words() {
    let credentials = Family::ALL.into_iter().map(|family| (family, format!("good-{family:?}"))).collect();
    let simulator = Simulator::start(Options { credentials, ..Options::default() }).unwrap();
    let client = Client::of(simulator.address());
    let dashscope = "/api/v1/services/aigc/text-generation/generation";
    let cases = [
        (Family::OpenAi, CHAT, "authorization", "Bearer ", 401, "/error/code", "invalid_api_key"),
        (Family::Anthropic, "/v1/messages", "x-api-key", "", 401, "/error/type", "authentication_error"),
        (Family::Anthropic, "/v1/messages", "authorization", "Bearer ", 401, "/error/type", "authentication_error"),
        (
            Family::Gemini,
            "/v1beta/models/gemini-3.8-flash:generateContent",
            "x-goog-api-key",
            "",
            400,
            "/error/details/0/reason",
            "API_KEY_INVALID",
        ),
        (Family::DashScope, dashscope, "authorization", "Bearer ", 401, "/code", "InvalidApiKey"),
        (
            Family::Ark,
            "/api/v3/chat/completions",
            "authorization",
            "Bearer ",
            401,
            "/error/code",
            "AuthenticationError",
        ),
        (
            Family::MuleRouter,
            "/vendors/openai/v1/chat/completions",
            "authorization",
            "Bearer ",
            401,
            "/error/code",
            "invalid_api_key",
        ),
    ];
    for (family, path, header, scheme, status, pointer, word) in cases {
        let ask = Ask::post(path, &messages("m"));
        let good = format!("{scheme}good-{family:?}");
        client.send(&ask.clone().header(header, &good)).await.expect(200);
        for refused in [
            ask.clone(),
            ask.clone().header(header, &format!("{scheme}bad")),
            ask.clone().header(header, &good).header(header, &format!("{scheme}bad")),
        ] {
            let answer = client.send(&refused).await.expect(status);
            assert_eq!(answer.json().pointer(pointer), Some(&word.into()), "{family:?}");
        }
    }
}

#[tokio::test]
async fn tokens_are_words() {
    let (_simulator, client) = start();
    let ask = |target: &str, body: Value| Ask::post(target, &body).sim("cached=1; reasoning=5");
    let generate = json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]});
    let native = json!({"model": "qwen", "input": {"messages": [{"role": "user", "content": "one two three"}]}});
    let cases = [
        (CHAT, messages("m"), "/usage", json!({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12})),
        ("/compatible-mode/v1/chat/completions", messages("m"), "/usage", json!({"prompt_tokens": 3})),
        ("/api/v3/chat/completions", messages("m"), "/usage", json!({"completion_tokens": 9})),
        ("/v1/responses", json!({"model": "m", "input": "one two three"}), "/usage", json!({"output_tokens": 9})),
        (
            "/v1/messages",
            messages("m"),
            "/usage",
            json!({"input_tokens": 2, "output_tokens": 9, "cache_read_input_tokens": 1}),
        ),
        (
            "/v1beta/models/g:generateContent",
            generate,
            "/usageMetadata",
            json!({"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5, "totalTokenCount": 12}),
        ),
        (
            "/api/v1/services/aigc/text-generation/generation",
            native,
            "/usage",
            json!({"input_tokens": 3, "output_tokens": 9}),
        ),
    ];
    for (target, body, place, expected) in cases {
        let answer = client.send(&ask(target, body)).await.expect(200).json();
        let usage = answer.pointer(place).unwrap();
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(usage.get(name), Some(value), "{target} {name}: {usage}");
        }
    }
    assert_eq!(usage::split(" a  b\n").concat(), " a  b\n");
    assert_eq!(usage::split("a b c").len(), 3);
}

#[tokio::test]
async fn streams_say_the_same_as_whole_answers() {
    let (_simulator, client) = start();
    let mut with_usage = messages("m");
    with_usage["stream_options"] = json!({"include_usage": true});
    let text = |events: &[Value], pointer: &str| -> String {
        events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
    };
    let echo = "Echo: one two three";

    let plain = events(&client.send(&streamed(CHAT, &messages("m"))).await.expect(200));
    assert_eq!(text(&plain, "/choices/0/delta/content"), echo);
    assert!(plain.iter().all(|event| event.get("usage").is_none()));
    let counted = events(&client.send(&streamed(CHAT, &with_usage)).await.expect(200));
    assert_eq!(counted.last().unwrap()["usage"]["completion_tokens"], 4);
    assert_eq!(counted.last().unwrap()["choices"], json!([]));

    let body = json!({"model": "m", "input": "one two three"});
    let responses = events(&client.send(&streamed("/v1/responses", &body)).await.expect(200));
    assert_eq!(text(&responses, "/delta"), echo);
    assert_eq!(responses.last().unwrap()["response"]["usage"]["total_tokens"], 7);

    let anthropic = events(&client.send(&streamed("/v1/messages", &messages("m"))).await.expect(200));
    assert_eq!(text(&anthropic, "/delta/text"), echo);

    let body = json!({"contents": [{"parts": [{"text": "one two three"}]}]});
    let target = "/v1beta/models/g%3AstreamGenerateContent";
    let gemini = events(&client.send(&Ask::post(&format!("{target}?alt=sse"), &body)).await.expect(200));
    assert_eq!(text(&gemini, "/candidates/0/content/parts/0/text"), echo);
    let array = client.send(&Ask::post(target, &body)).await.expect(200).json();
    assert_eq!(array.as_array().unwrap(), &gemini);

    let body = json!({"model": "m", "input": {"prompt": "one two three"}});
    let ask = Ask::post("/api/v1/services/aigc/text-generation/generation", &body).header("X-DashScope-SSE", "enable");
    let native = events(&client.send(&ask).await.expect(200));
    assert_eq!(native.last().unwrap()["output"]["choices"][0]["message"]["content"], echo);
    assert_eq!(native.last().unwrap()["usage"]["output_tokens"], 4);
}

#[tokio::test]
async fn a_stream_can_end_in_the_providers_error() {
    let (_simulator, client) = start();
    let answer = client.send(&streamed(CHAT, &messages("m")).sim("stream-error=2")).await.expect(200);
    let events = events(&answer);
    assert_eq!((events.len(), events[2].get("error").is_some()), (3, true));
}

#[tokio::test]
async fn a_realtime_socket_echoes_and_reports_usage() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let (simulator, client) = start();
    let headers = [("sec-websocket-protocol", "realtime, openai-insecure-api-key.k")];
    let mut socket = client.web_socket("/v1/realtime?model=gpt-realtime", &headers).await.unwrap();
    let mut next = async |say: Option<Message>| {
        if let Some(message) = say {
            socket.send(message).await.unwrap();
        }
        socket.next().await.unwrap().unwrap()
    };
    assert!(next(None).await.into_text().unwrap().contains("gpt-realtime"));
    let item = json!({"type": "conversation.item.create", "item": {"content": [{"text": "one two three"}]}});
    assert_eq!(next(Some(Message::text(item.to_string()))).await, Message::text(item.to_string()));
    assert_eq!(next(Some(Message::binary(vec![1, 2, 3]))).await, Message::binary(vec![1, 2, 3]));
    let done = next(Some(Message::text(r#"{"type":"response.create"}"#))).await.into_text().unwrap();
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["response"]["usage"]["input_tokens"], 3);
    drop(socket);
    let ended = |request: &support::simulator::Request| request.answered_at.is_some();
    let request = simulator.wait_for("the socket has ended", ended).await.unwrap();
    assert!(!request.after_upgrade.is_empty());
}

#[tokio::test]
async fn only_so_many_requests_are_kept_but_all_are_counted() {
    let simulator = Simulator::start(Options { requests_kept_max: 2, ..Options::default() }).unwrap();
    let client = Client::of(simulator.address());
    for index in 0..5 {
        client.send(&Ask::get(&format!("/{index}"))).await;
    }
    let kept: Vec<_> = simulator.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!((kept, simulator.arrived()), (vec!["/3".to_owned(), "/4".to_owned()], 5));
    let look = async || if simulator.connections_open() == 0 { Ok(()) } else { Err(simulator.connections_open()) };
    wait_until("all connections are closed", look).await;
}
