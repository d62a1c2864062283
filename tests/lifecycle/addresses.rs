//! Providers that do not answer at one address, or at none.

use crate::{
    CHAT, MODEL,
    provider::{Asked, Closed, Provider},
    support::{
        gateway::{Gateway, Grant, Options, rows::text},
        http::Ask,
    },
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The addresses of `localhost` on this machine.
async fn localhost() -> BTreeSet<IpAddr> {
    tokio::net::lookup_host(("localhost", 0)).await.unwrap().map(|found| found.ip()).collect()
}

/// Sends a request that the provider answers.
async fn served(gateway: &Gateway, provider: &Provider, ask: &Ask) -> Asked {
    let mut connection = gateway.client().connect().await;
    connection.write(&ask.bytes()).await;
    let mut asked = provider.asked().await;
    asked.answer().await;
    connection.answer(ask.method()).await.expect(200);
    asked
}

#[tokio::test]
async fn a_name_is_served_through_whichever_of_its_addresses_answers_and_each_post_is_sent_once() {
    let known = localhost().await;
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        // All other addresses of the name refuse connections to this port.
        let Ok(provider) = Provider::listen(address) else {
            assert!(!known.contains(&address), "{address} is one of localhost's but cannot be listened on");
            continue;
        };
        let url = format!("http://localhost:{}", provider.port());
        let gateway = Gateway::start(Options::default().upstreams(&[("openai", &url)]));
        let key = gateway.issue(&Grant::all("addresses"));
        for call in 0..5 {
            let ask = Ask::chat(CHAT, MODEL, &call.to_string()).bearer(&key.secret);
            if !known.contains(&address) {
                gateway.client().send(&ask).await.expect(502);
                continue;
            }
            assert_eq!(served(&gateway, &provider, &ask).await.head.word(0), "POST");
        }
        // Only the first call meets the dead addresses before this one; those to come begin where it ended.
        let dead_before = known.iter().position(|found| *found == address);
        let expected = dead_before.map_or(5 * 3, |dead| 5 + dead as u64);
        let rows = gateway.rows().await;
        let attempts: u64 = rows.iter().filter_map(|row| row["attempts"].as_u64()).sum();
        assert_eq!((rows.ids().len(), attempts), (5, expected), "{address} of {known:?}");
    }
}

#[tokio::test]
async fn a_provider_that_refuses_connections_is_502_after_all_tries_and_serves_as_soon_as_it_is_back() {
    let provider = Closed::on(Ipv4Addr::LOCALHOST.into()).unwrap();
    let port = provider.port();
    let url = format!("http://127.0.0.1:{port}");
    let options = Options::default().upstreams(&[("openai", &url)]).set("/requests/attempts_max", json!(4));
    let gateway = Gateway::start(options);
    let key = gateway.issue(&Grant::all("refused"));
    let ask = Ask::chat(CHAT, MODEL, "a").bearer(&key.secret);
    let refused = gateway.client().send(&ask).await.expect(502);
    assert_eq!(refused.json()["error"]["type"], "provider_unreachable");
    assert!(!refused.text().contains(&port.to_string()), "{}", refused.text());
    let rows = gateway.rows().await;
    let row = rows.iter().next().unwrap();
    assert_eq!((&*text(row, "/error_type"), &row["attempts"]), ("provider_unreachable", &json!(4)), "{row}");
    let provider = provider.open().unwrap();
    for _ in 0..3 {
        served(&gateway, &provider, &ask).await;
    }
}

#[tokio::test]
async fn a_provider_with_a_name_serves_the_first_call_after_the_start() {
    let provider = Provider::listen(Ipv4Addr::LOCALHOST.into()).unwrap();
    let url = format!("http://localhost:{}", provider.port());
    for _ in 0..5 {
        let gateway = Gateway::start(Options::default().upstreams(&[("openai", &url)]));
        served(&gateway, &provider, &Ask::chat(CHAT, MODEL, "a").bearer(gateway.bootstrap_key())).await;
    }
}
