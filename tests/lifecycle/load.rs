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
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::task::JoinHandle;

/// Callers under way.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<BTreeMap<String, String>>>,
}

impl Load {
    /// So many callers, each on a connection of its own; each call has a tag `nonce` of its own, beginning with `name`.
    pub(crate) fn start(gateway: &Gateway, key: &Key, name: &str, callers: usize) -> Self {
        Self::run(gateway, key, (name, false), callers)
    }

    /// The same with a new connection for each call, and each call is answered in the end: a connection that is closed
    /// before anything came over it is made again once, as HTTP clients do.
    pub(crate) fn anew(gateway: &Gateway, key: &Key, name: &str, callers: usize) -> Self {
        Self::run(gateway, key, (name, true), callers)
    }

    fn run(gateway: &Gateway, key: &Key, (name, anew): (&str, bool), callers: usize) -> Self {
        let (stop, tasks) = (Arc::new(AtomicBool::new(false)), Tasks::new());
        let one = |caller| {
            let (client, secret, name) = (gateway.client(), key.secret.clone(), format!("{name}-{caller}"));
            tasks.spawn(call(client, (secret, name), anew, Arc::clone(&stop)))
        };
        Self { callers: (0..callers).map(one).collect(), stop }
    }

    /// Tells them to stop, and gives the request ids of all answers by nonce.
    pub(crate) async fn stop(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        let answered = join_all(self.callers).await;
        answered.into_iter().flat_map(|answered| answered.expect("every call is answered with 200")).collect()
    }
}

async fn call(
    client: Client,
    (secret, name): (String, String),
    anew: bool,
    stop: Arc<AtomicBool>,
) -> BTreeMap<String, String> {
    let mut connection = client.connect().await;
    let mut answered = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let nonce = format!("{name}-{}", answered.len());
        let ask = Ask::chat(CHAT, MODEL, "a").bearer(&secret).header("x-attr-nonce", &nonce);
        let mut answer = connection.send(&ask).await;
        if answer.status() == 0 && !anew {
            break;
        }
        if answer.status() == 0 {
            answer = client.send(&ask).await;
        }
        assert!(answer.status() == 200 && answer.complete, "{nonce}: {answer:?}");
        answered.insert(nonce, answer.header(REQUEST_ID).expect("each answer has an id").to_owned());
        if anew {
            connection = client.connect().await;
        }
    }
    answered
}
