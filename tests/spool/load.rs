//! Callers that call without a pause until they are told to stop or the gateway is gone.

use crate::{
    CHAT, MODEL, REQUEST_ID,
    support::{
        gateway::{Gateway, Key},
        http::{Ask, Client},
    },
};
use futures_util::future::join_all;
use sociaro_gateway::base::tasks::Tasks;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::task::JoinHandle;

/// Callers under way.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<BTreeMap<String, String>>>,
}

impl Load {
    /// So many callers, each on a connection of its own, until they are stopped; each call has a tag `nonce` of its own,
    /// beginning with `name`.
    pub(crate) fn start(gateway: &Gateway, key: &Key, name: &str, callers: usize) -> Self {
        Self::of(gateway, key, name, (callers, usize::MAX))
    }

    /// Each caller makes so many calls, if nobody stops it before.
    pub(crate) fn of(gateway: &Gateway, key: &Key, name: &str, (callers, calls): (usize, usize)) -> Self {
        let (stop, answered, tasks) = (Arc::default(), Arc::default(), Tasks::new());
        let one = |caller| {
            let (client, secret, name) = (gateway.client(), key.secret.clone(), format!("{name}-{caller}"));
            tasks.spawn(call(client, (secret, name), calls, (Arc::clone(&stop), Arc::clone(&answered))))
        };
        Self { callers: (0..callers).map(one).collect(), stop, answered }
    }

    /// How many calls were answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Tells them to stop, and gives the request ids of all whole answers by nonce.
    pub(crate) async fn stop(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.end().await
    }

    /// The same when each has made its calls.
    pub(crate) async fn end(self) -> BTreeMap<String, String> {
        let answered = join_all(self.callers).await;
        answered.into_iter().flat_map(|answered| answered.expect("every answer is 200")).collect()
    }
}

async fn call(
    client: Client,
    (secret, name): (String, String),
    calls: usize,
    (stop, answered): (Arc<AtomicBool>, Arc<AtomicUsize>),
) -> BTreeMap<String, String> {
    let mut connection = client.connect().await;
    let mut ids = BTreeMap::new();
    while ids.len() < calls && !stop.load(Ordering::Relaxed) {
        let nonce = format!("{name}-{}", ids.len());
        let ask = Ask::chat(CHAT, MODEL, "a").bearer(&secret).header("x-attr-nonce", &nonce);
        let answer = connection.send(&ask).await;
        // The gateway was killed.
        if answer.status() == 0 || !answer.complete {
            break;
        }
        assert_eq!(answer.status(), 200, "{nonce}: {answer:?}");
        ids.insert(nonce, answer.header(REQUEST_ID).expect("each answer has an id").to_owned());
        answered.fetch_add(1, Ordering::Relaxed);
    }
    ids
}
