//! Where batches go in a cluster: with servers that note what they are sent and take everything, or nothing.

use crate::support::{Dice, event, settings};
use sociaro_gateway::{
    base::clock,
    usage::{
        queue::Rows,
        settings::{Cluster, Server, Settings, Store},
        shipper::{ClickHouse, Sink},
        source::Batch,
    },
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
};

/// A server that tells the head of each request, and answers 200 while `works`.
fn shard(works: &Arc<AtomicBool>) -> (String, Receiver<String>) {
    let (listener, works) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::clone(works));
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = sync_channel(1000);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut seen, mut piece) = (Vec::new(), [0; 16 << 10]);
            // the body ends with an empty chunk
            while !seen.ends_with(b"\r\n0\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(read @ 1..) => seen.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            // first told, then answered: the test looks as soon as it has the answer
            let head = String::from_utf8_lossy(&seen).lines().next().unwrap_or_default().to_owned();
            if sender.send(head).is_err() {
                return;
            }
            let status = if works.load(Ordering::SeqCst) { "200 OK" } else { "500 No" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (url, receiver)
}

#[tokio::test]
async fn a_batch_goes_to_one_shards_local_table_however_often_it_is_tried() {
    let works = Arc::new(AtomicBool::new(false));
    let (shards, seen): (Vec<_>, Vec<_>) = (0..3).map(|_| shard(&works)).unzip();
    let cluster = Some(Cluster { name: "main".into(), shards });
    // nothing is asked of this one: reading is not what is tested
    let server = Server { url: "http://127.0.0.1:1".into(), user: "default".into(), password: None, cluster };
    let settings = Settings { store: Store::ClickHouse(server), ..settings() };
    let client = clickhouse::Client::default().with_url("http://127.0.0.1:1");
    let (mut dice, now) = (Dice::new(1), clock::now());
    let events: Vec<_> = (0..3).map(|_| event(&mut dice, now)).collect();
    let batch = |number: u32| Batch::new(format!("segment/{number}"), Rows::of(&events));
    let where_to = |number: u32| {
        let heads: Vec<(usize, String)> =
            seen.iter().enumerate().flat_map(|(at, heads)| heads.try_iter().map(move |head| (at, head))).collect();
        let [(at, head)] = heads.as_slice() else { panic!("one request for batch {number}, not {heads:?}") };
        assert!(head.contains("INSERT+INTO+usage_events_local+%28kind"), "{head}");
        assert!(
            head.contains(&format!("insert_deduplication_token=segment%2F{number}&"))
                || head.contains(&format!("insert_deduplication_token=segment%2F{number} ")),
            "{head}"
        );
        *at
    };
    let mut first = Vec::new();
    for number in 0..30 {
        assert!(ClickHouse::new(&client, &settings).store(&batch(number)).await.is_err(), "no shard works");
        first.push(where_to(number));
    }
    works.store(true, Ordering::SeqCst);
    for (number, before) in (0..30).zip(&first) {
        // another process, after the restart
        ClickHouse::new(&client, &settings).store(&batch(number)).await.unwrap();
        assert_eq!(where_to(number), *before, "batch {number}");
    }
    assert!((0..3).all(|shard| first.contains(&shard)), "every shard gets some: {first:?}");
}
