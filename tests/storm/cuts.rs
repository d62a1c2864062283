//! Streams that callers cut at every point: each leaves exactly one usage event, and gives back what it held.

use crate::{
    CHAT, REQUEST_ID, key, quiet,
    seed::Chance,
    stream,
    support::{
        gateway::{
            Gateway, Key, Options, names,
            rows::{logged_ids, text},
        },
        http::{AnswerReader, Ask, Client, Connection},
    },
};
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const AT_ONCE: usize = 200;
const WAVES: usize = 10;
const WORDS: usize = 40;

/// Where a caller goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// As soon as the request is sent.
    AtOnce,
    /// The provider has the request and has said so, but has not begun its answer.
    BeforeTheAnswer,
    /// After so many bytes of the head.
    InTheHead(usize),
    /// After so many bytes of the body.
    InTheBody(usize),
    /// The whole answer has come.
    AfterTheEnd,
}

#[derive(Debug, Clone)]
struct Cut {
    nonce: String,
    point: Point,
    /// The provider sends nothing beyond the point: only the caller can end the exchange.
    stalls: bool,
    /// With a reset instead of an end in good order.
    resets: bool,
}

impl Cut {
    fn by_chance(number: usize, event_ends: &[usize], chance: &mut Chance) -> Self {
        let whole = event_ends[event_ends.len() - 1];
        let event = chance.between(1, event_ends.len() - 1);
        let point = match chance.between(0, 7) {
            0 => Point::AtOnce,
            1 => Point::BeforeTheAnswer,
            2 => Point::InTheHead(chance.between(1, 100)),
            3 => Point::InTheBody(chance.between(event_ends[event - 1] + 1, event_ends[event])),
            4 => Point::InTheBody(event_ends[event]),
            5 => Point::InTheBody(chance.between(whole - 20, whole)),
            _ => Point::AfterTheEnd,
        };
        let stalls = point != Point::AfterTheEnd && chance.one_of(&[true, false]);
        Self { nonce: number.to_string(), point, stalls, resets: chance.one_of(&[true, false]) }
    }

    fn ask(&self, key: &Key) -> Ask {
        let stalls_after = |bytes: usize| format!("words={WORDS}; stall={bytes}");
        let knobs = match self.point {
            Point::BeforeTheAnswer => "interim=103; never".to_owned(),
            Point::InTheHead(_) if self.stalls => stalls_after(0),
            Point::InTheBody(bytes) if self.stalls => stalls_after(bytes),
            Point::AtOnce if self.stalls => "never".to_owned(),
            _ => format!("words={WORDS}; chunk-delay=5ms; close"),
        };
        stream(key).header("x-attr-nonce", &self.nonce).sim(&knobs)
    }

    /// Sends the request, goes away at the point, and tells the request's id if it was seen.
    async fn make(&self, client: Client, key: &Key) -> Option<String> {
        let mut connection = client.connect().await;
        connection.write(&self.ask(key).bytes()).await;
        let mut reader = AnswerReader::new("POST");
        match self.point {
            Point::AtOnce => {}
            Point::BeforeTheAnswer => {
                connection.answer_until(&mut reader, |answer| !answer.interim.is_empty()).await;
                assert_eq!(reader.so_far().interim.len(), 1, "{self:?}: {reader:?}");
            }
            Point::InTheHead(bytes) => assert!(connection.read_no_more_than(bytes).await, "{self:?}"),
            Point::InTheBody(bytes) => {
                connection.answer_until(&mut reader, |answer| answer.body.len() >= bytes).await;
                assert!(reader.so_far().body.len() >= bytes, "{self:?}: {reader:?}");
            }
            Point::AfterTheEnd => {
                connection.answer_until(&mut reader, |_| false).await;
                assert!(reader.so_far().complete, "{self:?}: {reader:?}");
            }
        }
        if self.resets {
            connection.reset();
        }
        reader.so_far().header(REQUEST_ID).map(str::to_owned)
    }

    /// What must be true of its row.
    fn check(&self, row: &Value, id: Option<&String>, whole: usize) {
        let says = |names: &[&str]| assert!(names.contains(&&*text(row, "/error_type")), "{self:?}: {row}");
        if let Some(id) = id {
            assert_eq!(text(row, "/request_id"), *id, "{self:?}");
        }
        let bytes_out = row["bytes_out"].as_u64().and_then(|bytes| usize::try_from(bytes).ok()).expect("a number");
        match self.point {
            Point::AfterTheEnd => {
                says(&[""]);
                assert_eq!((&row["status"], bytes_out), (&200.into(), whole), "{self:?}: {row}");
            }
            Point::InTheBody(bytes) if self.stalls => {
                says(&["caller_gone"]);
                assert_eq!((&row["status"], bytes_out), (&200.into(), bytes), "{self:?}: {row}");
            }
            Point::BeforeTheAnswer => {
                says(&["caller_gone"]);
                assert_eq!((&row["status"], bytes_out), (&0.into(), 0), "{self:?}: {row}");
            }
            _ if self.stalls => says(&["caller_gone"]),
            // Nobody can know whether the rest was on its way already.
            _ => says(&["caller_gone", ""]),
        }
    }
}

/// Where the events of the stream end that the cuts are made in.
async fn event_ends(gateway: &Gateway, key: &Key) -> Vec<usize> {
    let whole = gateway.client().send(&stream(key).sim(&format!("words={WORDS}; close"))).await.expect(200);
    let ends = memchr::memmem::find_iter(&whole.body, b"\n\n").map(|at| at + 2).collect::<Vec<_>>();
    assert_eq!((ends.len(), ends.last()), (WORDS + 3, Some(&whole.body.len())));
    ends
}

#[tokio::test]
async fn each_of_two_thousand_streams_cut_at_random_points_has_one_usage_event() {
    let gateway = Gateway::start(Options::default());
    let key = &key(&gateway, "storm", &["--concurrency", "400"]);
    let ends = event_ends(&gateway, key).await;
    let mut chance = Chance::new();
    let cuts: Vec<Cut> = (0..AT_ONCE * WAVES).map(|number| Cut::by_chance(number, &ends, &mut chance)).collect();
    let mut seen = BTreeMap::new();
    for wave in cuts.chunks(AT_ONCE) {
        let made = join_all(wave.iter().map(|cut| cut.make(gateway.client(), key))).await;
        seen.extend(wave.iter().map(|cut| cut.nonce.clone()).zip(made));
        quiet(&gateway).await;
    }
    gateway.simulator.wait_for_connections_open(0).await.unwrap();

    let rows = gateway.rows().await;
    let (ids, by_nonce) = (rows.ids(), rows.by_tag("nonce"));
    assert_eq!(ids.len(), by_nonce.len(), "each row is of one stream");
    assert_eq!(ids, logged_ids(&gateway.log()), "the access log and the store know the same exchanges");
    for cut in &cuts {
        let id = seen[&cut.nonce].as_ref();
        match by_nonce.get(&cut.nonce) {
            Some(row) => cut.check(row, id, ends[ends.len() - 1]),
            // A reset may take the request with it before the gateway has read it.
            None => assert_eq!((cut.point, cut.resets), (Point::AtOnce, true), "{cut:?} has no row, id {id:?}"),
        }
    }
    let received: BTreeSet<_> =
        gateway.simulator.requests().iter().filter_map(|one| one.header("x-attr-nonce").map(str::to_owned)).collect();
    let unknown: Vec<_> = received.iter().filter(|nonce| !by_nonce.contains_key(*nonce)).collect();
    assert!(unknown.is_empty(), "the provider has them, the store has not: {unknown:?}");
    takes_exactly(&gateway, key, 400).await;
}

/// The key's concurrency can be used up again, to the last place.
pub(crate) async fn takes_exactly(gateway: &Gateway, key: &Key, places: usize) {
    let ask = &stream(key).sim("words=5; stall=0");
    let held = join_all((0..places).map(|_| open(gateway.client(), ask))).await;
    gateway.client().send(ask).await.expect(429);
    drop(held);
    quiet(gateway).await;
}

/// Begins a stream whose head has come.
pub(crate) async fn open(client: Client, ask: &Ask) -> Connection {
    let mut connection = client.connect().await;
    connection.write(&ask.bytes()).await;
    let mut reader = AnswerReader::new("POST");
    connection.answer_until(&mut reader, |answer| answer.status() != 0).await;
    assert_eq!(reader.so_far().status(), 200, "{reader:?}");
    connection
}

#[tokio::test]
async fn permits_of_cut_streams_are_all_back() {
    let gateway = Gateway::start(Options::default());
    let key = key(&gateway, "permits", &["--concurrency", "200"]);
    for _ in 0..3 {
        takes_exactly(&gateway, &key, 200).await;
    }
    let metrics = gateway.metrics();
    assert_eq!((metrics.total("gateway_limited_total"), metrics.total(names::EXCHANGES_OPEN)), (3.0, 0.0));
    assert_eq!(gateway.simulator.matching(|one| CHAT.ends_with(one.path())).len(), 600, "refused ones went nowhere");
}
