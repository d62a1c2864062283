//! Connections that carry requests of several organizations one after the other, and some that do not wait for the
//! answer before: each answer belongs to its request, and each organization's rows are its own calls.

use crate::{
    CHAT, MODEL, REQUEST_ID,
    seed::Chance,
    support::{
        gateway::{Gateway, Grant, Key, Options, rows::text},
        http::{Ask, Client, Connection},
    },
};
use futures_util::future::join_all;
use std::collections::BTreeMap;

const CONNECTIONS: usize = 500;
const ROUNDS: usize = 6;

/// What one request is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Chat,
    Stream,
    Models,
    NoSuchModel,
    Me,
}

const KINDS: [Kind; 5] = [Kind::Chat, Kind::Stream, Kind::Models, Kind::NoSuchModel, Kind::Me];

struct Call<'a> {
    kind: Kind,
    nonce: String,
    caller: &'a Caller,
}

struct Caller {
    organization: String,
    key: Key,
}

impl Call<'_> {
    fn ask(&self) -> Ask {
        let chat = |model: &str, stream: bool| {
            let messages = serde_json::json!([{"role": "user", "content": self.nonce}]);
            Ask::post(CHAT, &serde_json::json!({"model": model, "stream": stream, "messages": messages}))
        };
        let ask = match self.kind {
            Kind::Chat => chat(MODEL, false),
            Kind::Stream => chat(MODEL, true),
            Kind::Models => Ask::get("/openai/v1/models"),
            Kind::NoSuchModel => chat("forbidden-model", false),
            Kind::Me => Ask::get("/gw/me"),
        };
        ask.bearer(&self.caller.key.secret).header("x-attr-nonce", &self.nonce)
    }

    /// Reads the answer and checks whose it is. Gives the request's id; `None` when the connection ended before it.
    async fn answer(&self, connection: &mut Connection) -> Option<String> {
        let ask = self.ask();
        let answer = connection.answer(ask.method()).await;
        if answer.status() == 0 {
            return None;
        }
        let (status, sign) = match self.kind {
            Kind::Chat => (200, format!("Echo: {}", self.nonce)),
            Kind::Stream => (200, self.nonce.clone()),
            Kind::Models => (200, "\"list\"".to_owned()),
            Kind::NoSuchModel => (403, "forbidden-model".to_owned()),
            Kind::Me => (200, self.caller.organization.clone()),
        };
        let text = answer.text();
        assert!(answer.complete && answer.status() == status && text.contains(&sign), "{:?}: {answer:?}", self.nonce);
        Some(answer.header(REQUEST_ID).expect("each answer has an id").to_owned())
    }
}

/// Makes the calls over one connection, now and then two without waiting between; a connection that ends is made anew.
/// Gives the ids of answers by nonce.
async fn carry(client: Client, calls: Vec<Call<'_>>) -> BTreeMap<String, Option<String>> {
    let mut ids = BTreeMap::new();
    let mut connection = client.connect().await;
    for (round, pair) in calls.chunks(2).enumerate() {
        let pipelined = round % 3 == 1;
        if pipelined {
            let bytes: Vec<u8> = pair.iter().flat_map(|call| call.ask().bytes()).collect();
            connection.write(&bytes).await;
        }
        for (at, call) in pair.iter().enumerate() {
            if !pipelined {
                connection.write(&call.ask().bytes()).await;
            }
            let id = call.answer(&mut connection).await;
            assert!(id.is_some() || (pipelined && at == 1), "{}: no answer", call.nonce);
            let ended = id.is_none();
            ids.insert(call.nonce.clone(), id);
            if ended {
                connection = client.connect().await;
            }
        }
    }
    ids
}

#[tokio::test]
async fn answers_and_rows_belong_to_their_requests_on_connections_that_organizations_share() {
    let gateway = Gateway::start(Options::default());
    let organization = |name: &str| {
        let mut grant = Grant::all(name);
        grant.allow = vec![format!("openai:{MODEL}")];
        Caller { organization: name.to_owned(), key: gateway.issue(&grant) }
    };
    let callers = [organization("first"), organization("second"), organization("third")];
    let mut chance = Chance::new();
    let calls_of = |connection: usize, chance: &mut Chance| {
        let call = |round: usize, chance: &mut Chance| Call {
            kind: chance.one_of(&KINDS),
            nonce: format!("nonce-{connection}-{round}"),
            caller: &callers[chance.between(0, callers.len())],
        };
        (0..ROUNDS).map(|round| call(round, chance)).collect::<Vec<_>>()
    };
    let plan: Vec<_> = (0..CONNECTIONS).map(|connection| calls_of(connection, &mut chance)).collect();
    let expected: Vec<(String, String, bool)> = plan
        .iter()
        .flatten()
        .map(|call| (call.nonce.clone(), call.caller.key.id.clone(), !matches!(call.kind, Kind::Me)))
        .collect();
    let done = join_all(plan.into_iter().map(|calls| carry(gateway.client(), calls))).await;
    let ids: BTreeMap<_, _> = done.into_iter().flatten().collect();

    let rows = gateway.rows().await;
    let by_nonce = rows.by_tag("nonce");
    let mut answered = 0;
    for (nonce, key, has_row) in &expected {
        let (id, row) = (ids[nonce].as_ref(), by_nonce.get(nonce));
        if !has_row || id.is_none() {
            assert!(row.is_none(), "{nonce}: {row:?}");
            continue;
        }
        answered += 1;
        let row = row.unwrap_or_else(|| panic!("{nonce} has no row"));
        assert_eq!((&text(row, "/key_id"), Some(&text(row, "/request_id"))), (key, id), "{row}");
    }
    assert_eq!(rows.ids().len(), answered);
    for caller in &callers {
        let count = expected.iter().filter(|(nonce, key, row)| *row && *key == caller.key.id && ids[nonce].is_some());
        assert_eq!(rows.with("/key_id", &caller.key.id).count(), count.count(), "{}", caller.organization);
    }
}

#[tokio::test]
async fn a_request_that_does_not_wait_for_the_answer_before_it_is_not_taken() {
    let gateway = Gateway::start(Options::default());
    let key = gateway.issue(&Grant::all("pipelined"));
    let ask = |text: &str| Ask::chat(CHAT, MODEL, text).bearer(&key.secret).bytes();
    let mut connection = gateway.client().connect().await;
    connection.write(&[ask("one"), ask("two")].concat()).await;
    let first = connection.answer("POST").await.expect(200);
    assert!(first.complete && first.text().contains("Echo: one"), "{first:?}");
    assert_eq!(connection.to_end().await.0, b"", "the connection closes: the caller sends the second one again");
    assert_eq!((gateway.simulator.arrived(), gateway.rows().await.count()), (1, 1));
}
