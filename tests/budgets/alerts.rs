//! Alerts: each share once a window, signed, and sent until they are taken.

use crate::{
    support::{gateway::Gateway, wait::wait_until},
    treasury::{budget, key, known, options, quiet, stream},
};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const SECRET: &str = "whsec-of-the-test";

/// One call of the webhook.
#[derive(Debug, Clone)]
struct Delivery {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Delivery {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    fn document(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Takes deliveries; the first ones in vain.
struct Receiver {
    address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    async fn start(in_vain: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, deliveries) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let taken = Arc::clone(&deliveries);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some((delivery, mut stream)) = receive(stream).await else { continue };
                let fails = {
                    let mut taken = taken.lock();
                    taken.push(delivery);
                    taken.len() <= in_vain
                };
                let answer = if fails { "503 Service Unavailable" } else { "204 No Content" };
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        Self { address, deliveries }
    }

    fn shares(&self) -> Vec<u64> {
        self.deliveries.lock().iter().filter_map(|one| one.document()["share_percent"].as_u64()).collect()
    }
}

async fn receive(mut stream: TcpStream) -> Option<(Delivery, TcpStream)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let headers: BTreeMap<String, String> =
                pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            if headers["content-length"].parse::<usize>().ok()? == body.len() {
                return Some((Delivery { headers, body: body.to_owned() }, stream));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn signed(delivery: &Delivery) -> bool {
    let (time, signature) = delivery.header("x-gateway-signature").split_once(',').expect("two parts");
    let seconds = time.strip_prefix("t=").expect("a time");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{}", delivery.body).as_bytes());
    signature == format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn each_share_is_told_once_and_signed_and_again_until_it_is_taken() {
    let receiver = Receiver::start(2).await;
    let options = options()
        .set("/budgets/alert_shares", json!([50, 100]))
        .set("/budgets/webhook_url", json!(format!("http://{}/hook", receiver.address)))
        .set("/budgets/webhook_secret", json!("env:HOOK_SECRET"))
        .env("HOOK_SECRET", SECRET);
    let mut gateway = Gateway::start(options);
    let key = key(&gateway, "alerts", &["--budget", "0.04/total"]);
    known(&gateway, &key, "0.04").await;
    let ask = stream(&key, 10).sim("words=10");
    gateway.client().send(&ask).await.expect(200);
    quiet(&gateway).await;
    assert_eq!(receiver.shares(), Vec::<u64>::new(), "a quarter is no share");
    gateway.client().send(&ask).await.expect(200);
    let count = async |count: usize| {
        wait_until("deliveries", async || {
            let shares = receiver.shares();
            if shares.len() >= count { Ok(()) } else { Err(shares) }
        })
        .await;
    };
    count(3).await;
    gateway.client().send(&ask).await.expect(200);
    gateway.client().send(&ask).await.expect(200);
    count(4).await;
    assert_eq!(receiver.shares(), [50, 50, 50, 100], "two were not taken");
    let deliveries = receiver.deliveries.lock().clone();
    for delivery in &deliveries {
        assert!(signed(delivery), "{delivery:?}");
        let document = delivery.document();
        assert_eq!(delivery.header("x-gateway-delivery"), document["id"], "{document}");
        assert_eq!((&document["type"], &document["budget"]["limit"]), (&json!("budget.alert"), &json!("0.04")));
        assert_eq!(document["budget"]["subject"], json!({"type": "key", "key_id": key.id}));
    }
    assert_eq!(deliveries[0].body, deliveries[2].body, "the same delivery");
    assert_eq!(deliveries[3].document()["budget"]["spent"], "0.04");
    let told = || {
        gateway
            .log()
            .iter()
            .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("share of its limit")))
            .count()
    };
    assert_eq!(told(), 2);
    quiet(&gateway).await;
    gateway.restart();
    assert_eq!(budget(&gateway, &key, |_| true).await["spent"], "0.04");
    let metrics = gateway.metrics();
    assert!(metrics.total("gateway_budget_alerts_total") < 1.0, "not again after a restart");
    assert_eq!(receiver.shares().len(), 4);
}
