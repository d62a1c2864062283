//! Sockets through the shipped program: what passed is metered to the token, and costs what one works out by hand.

use crate::{
    desk::{Desk, figures, number},
    support::{
        http::{Answer, Ask, Connection},
        simulator::{Gate, Reply},
    },
    wire::{BINARY, DEFLATED, FORMS, Form, PLAIN, TEXT, Writer, close},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use sociaro_gateway::base::clock::Duration;
use tokio_tungstenite::tungstenite::Message;

const TARGET: &str = "/openai/v1/realtime?model=gpt-realtime-2.1";
/// A provider answers from afar: Pingora closes a WebSocket at once whose `101` it meets before it has noted that the
/// request has no body.
const AFAR: Duration = Duration::from_millis(50);

const SESSION: &str = r#"{"type":"session.created","session":{"id":"sess_1","model":"gpt-realtime-2.1"}}"#;
const RESPONSE: &str = r#"{"type":"response.done","response":{"id":"resp_1","status":"completed","usage":{"total_tokens":253,"input_tokens":132,"output_tokens":121,"input_token_details":{"text_tokens":119,"audio_tokens":13,"image_tokens":0,"cached_tokens":64,"cached_tokens_details":{"text_tokens":64,"audio_tokens":0,"image_tokens":0}},"output_token_details":{"text_tokens":30,"audio_tokens":91}}}}"#;
/// 132 - 64 - 13 = 55 text in at 4, 64 cached at 0.4, 13 audio in at 32, 30 text out at 24, 91 audio out at 64, each for a
/// million: 220 + 25.6 + 416 + 720 + 5,824 = 7,205.6 millionths.
const ONE_RESPONSE: &str = "audio_input 13, audio_output 91, cached_input 64, input 55, output 30, \
    7205600 nano-dollars by openai/gpt-realtime-2.1, provider";
const TWO_RESPONSES: &str = "audio_input 26, audio_output 182, cached_input 128, input 110, output 60, \
    14411200 nano-dollars by openai/gpt-realtime-2.1, provider";

fn handshake(desk: &Desk, extensions: &str, knob: &str) -> Ask {
    let ask = Ask::get(TARGET)
        .header("Authorization", &desk.bearer())
        .line("Upgrade: websocket")
        .line("Connection: Upgrade")
        .line("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        .line("Sec-WebSocket-Version: 13");
    let ask = if extensions.is_empty() { ask } else { ask.header("Sec-WebSocket-Extensions", extensions) };
    ask.sim(knob)
}

/// A provider that upgrades and sends these pieces, each once the gate lets it pass.
fn reply(extensions: &str, pieces: &[Vec<u8>], gate: &Gate) -> Reply {
    let mut head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_owned();
    if !extensions.is_empty() {
        head = head + "Sec-WebSocket-Extensions: " + extensions + "\r\n";
    }
    head.push_str("\r\n");
    let pieces = [&[head.into_bytes()], pieces].concat();
    Reply::raw_pieces(pieces).delivered(|delivery| {
        delivery.gate = Some(gate.clone());
        delivery.delay_head = AFAR;
    })
}

fn pieces(form: Form, messages: &[&str]) -> Vec<Vec<u8>> {
    let mut writer = Writer::new(form);
    let mut pieces: Vec<_> = messages.iter().map(|message| writer.message(TEXT, message.as_bytes())).collect();
    pieces.push(writer.message(BINARY, &[0xff; 1000]));
    pieces
}

async fn upgraded(desk: &Desk, ask: &Ask) -> (Connection, Answer) {
    let mut connection = desk.gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let answer = connection.answer("GET").await.expect(101);
    (connection, answer)
}

/// Lets the pieces pass one by one, and waits for each at the caller.
async fn pass(connection: &mut Connection, pieces: &[Vec<u8>], gate: &Gate) {
    for piece in pieces {
        gate.let_one_pass();
        assert_eq!(&connection.exactly(piece.len()).await, piece, "the frames pass as they are");
    }
}

#[tokio::test]
async fn a_conversation_costs_the_sum_of_its_responses() {
    let desk = Desk::new("socket-talk");
    let headers = [("authorization", desk.bearer()), ("x-sim", "delay=50".to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut socket = desk.gateway.client().web_socket(TARGET, &headers).await.unwrap();
    let mut turns = Vec::new();
    socket.next().await.unwrap().unwrap();
    for text in ["one two three", "four five"] {
        let item = json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": text}]}});
        for message in [item, json!({"type": "response.create"})] {
            socket.send(Message::text(message.to_string())).await.unwrap();
            let answer = socket.next().await.unwrap().unwrap().into_text().unwrap();
            turns.push(serde_json::from_str::<serde_json::Value>(&answer).unwrap());
        }
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    let told: Vec<_> = turns.iter().filter_map(|turn| turn.pointer("/response/usage/input_tokens")?.as_u64()).collect();
    let [first, second] = told[..] else { panic!("two responses with usage: {turns:?}") };
    assert!(0 < first && first < second, "the second reads the first again: {told:?}");
    let record = desk.only_record().await;
    let input = first + second;
    // each response writes two words: input at 4 and output at 24 for a million
    let cost = (input * 4 + 4 * 24) * 1000;
    let expected = format!("input {input}, output 4, {cost} nano-dollars by openai/gpt-realtime-2.1, provider");
    assert_eq!(figures(&record), expected, "{record}");
    let found = (&record["model_requested"], &record["model_served"], &record["streamed"], &record["status"]);
    assert_eq!(found, (&json!("gpt-realtime-2.1"), &json!("gpt-realtime-2.1"), &json!(true), &json!(101)));
}

#[tokio::test]
async fn what_it_costs_does_not_depend_on_frames_and_compression() {
    let desk = Desk::new("socket-forms");
    for form in FORMS {
        let gate = Gate::default();
        let mut pieces = pieces(form, &[SESSION, RESPONSE, RESPONSE]);
        pieces.push(close());
        let knob = desk.reply(reply(form.extensions, &pieces, &gate));
        let (mut connection, answer) = upgraded(&desk, &handshake(&desk, "permessage-deflate", &knob)).await;
        let agreed = answer.header("sec-websocket-extensions").unwrap_or_default();
        assert_eq!(agreed, form.extensions, "it is agreed on between the two ends");
        pass(&mut connection, &pieces, &gate).await;
        let (rest, _) = connection.to_end().await;
        assert!(rest.is_empty(), "{form:?} {rest:?}");
        let record = desk.record_of(&answer).await;
        assert_eq!(figures(&record), TWO_RESPONSES, "{form:?} {record}");
        assert_eq!(number(&record, "/cost_breakdown_nanousd/audio_output"), 11_648_000, "{record}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_pays_what_was_summed_until_then() {
    let desk = Desk::new("socket-gone");
    let gate = Gate::default();
    let pieces = pieces(DEFLATED, &[SESSION, RESPONSE, RESPONSE]);
    let knob = desk.reply(reply(DEFLATED.extensions, &pieces, &gate));
    let (mut connection, answer) = upgraded(&desk, &handshake(&desk, "permessage-deflate", &knob)).await;
    pass(&mut connection, &pieces[..2], &gate).await;
    drop(connection);
    let record = desk.record_of(&answer).await;
    assert_eq!(figures(&record), ONE_RESPONSE, "{record}");
}

#[tokio::test]
async fn a_provider_that_breaks_off_is_paid_what_was_summed_until_then() {
    let desk = Desk::new("socket-broken");
    let gate = Gate::default();
    let pieces = pieces(PLAIN, &[SESSION, RESPONSE]);
    let (sent, cut) = pieces.split_at(2);
    let half = cut[0][..cut[0].len() / 2].to_vec();
    let pieces = [sent, &[half]].concat();
    // its connection ends behind half a message
    let knob = desk.reply(reply(PLAIN.extensions, &pieces, &gate));
    let (mut connection, answer) = upgraded(&desk, &handshake(&desk, "", &knob)).await;
    pass(&mut connection, &pieces, &gate).await;
    drop(connection.to_end().await);
    let record = desk.record_of(&answer).await;
    assert_eq!(figures(&record), ONE_RESPONSE, "{record}");
}

#[tokio::test]
async fn an_error_within_a_session_shows_and_what_follows_counts() {
    let desk = Desk::new("socket-error");
    let gate = Gate::default();
    let error = r#"{"type":"error","error":{"type":"invalid_request_error","code":"x","message":"y"}}"#;
    let mut pieces = pieces(PLAIN, &[SESSION, error, RESPONSE]);
    pieces.push(close());
    let knob = desk.reply(reply(PLAIN.extensions, &pieces, &gate));
    let (mut connection, answer) = upgraded(&desk, &handshake(&desk, "", &knob)).await;
    pass(&mut connection, &pieces, &gate).await;
    drop(connection.to_end().await);
    let record = desk.record_of(&answer).await;
    assert_eq!(figures(&record), format!("{ONE_RESPONSE}, provider_error"), "{record}");
}

#[tokio::test]
async fn what_is_no_websocket_passes_and_is_not_metered() {
    let desk = Desk::new("socket-other");
    for extensions in ["x-webkit-deflate-frame", ""] {
        let gate = Gate::default();
        let pieces = match extensions {
            "" => vec![b"\xf1 a protocol of its own".to_vec(), pieces(PLAIN, &[RESPONSE]).concat()],
            _ => pieces(PLAIN, &[SESSION, RESPONSE]),
        };
        let knob = desk.reply(reply(extensions, &pieces, &gate));
        let (mut connection, answer) = upgraded(&desk, &handshake(&desk, extensions, &knob)).await;
        pass(&mut connection, &pieces, &gate).await;
        drop(connection);
        let record = desk.record_of(&answer).await;
        assert_eq!(figures(&record), "0 nano-dollars without a price, none", "{extensions:?} {record}");
    }
}
