//! Limits under parallel load: exact for each key, and no key's flood is another's trouble.

use crate::{
    CHAT, MODEL, cuts, key, quiet,
    support::{
        gateway::{Gateway, Key, Options},
        http::{Answer, Ask},
        wait::wait_until,
    },
};
use futures_util::{StreamExt as _, future::join_all, stream};
use sociaro_gateway::base::clock::{self, Duration};

fn ask(key: &Key) -> Ask {
    Ask::chat(CHAT, MODEL, "a").bearer(&key.secret)
}

fn retry_after(answer: &Answer) -> Option<u64> {
    assert_eq!(answer.status(), 429, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "rate_limited", "{}", answer.text());
    answer.header("retry-after").and_then(|seconds| seconds.parse().ok())
}

#[tokio::test]
async fn a_burst_passes_to_the_last_call_and_the_rate_gives_no_more_than_its_time() {
    let gateway = Gateway::start(Options::default());
    let client = &gateway.client();
    for (rate, burst) in [(1_u32, 20_u32), (3, 50)] {
        let arguments = ["--rps", &rate.to_string(), "--burst", &burst.to_string()];
        let key = key(&gateway, "burst", &arguments);
        let before = gateway.simulator.arrived();
        let started = clock::instant();
        let ask = &ask(&key);
        let answers = join_all((0..10 * burst).map(|_| client.send(ask))).await;
        let refilled = started.elapsed().as_secs_f64() * f64::from(rate);
        let passed = answers.iter().filter(|answer| answer.status() == 200).count();
        let at_most = f64::from(burst) + refilled.floor();
        assert!(
            passed >= burst as usize && f64::from(u32::try_from(passed).unwrap()) <= at_most,
            "{passed}, {at_most}"
        );
        for refused in answers.iter().filter(|answer| answer.status() != 200) {
            assert_eq!((retry_after(refused), refused.header("x-gateway-limit")), (Some(1), Some("rps")));
        }
        assert_eq!(gateway.simulator.arrived() - before, passed, "refused calls go nowhere");
        passes_after_what_it_was_told(&gateway, &key).await;
    }
}

/// Asks again and again: a call that is made once the time of a refusal's `Retry-After` is over passes.
async fn passes_after_what_it_was_told(gateway: &Gateway, key: &Key) {
    let mut passes_from = None;
    let look = async || {
        let asked_at = clock::instant();
        let answer = gateway.client().send(&ask(key)).await;
        if answer.status() == 200 {
            return Ok(());
        }
        let seconds = retry_after(&answer).expect("a refusal says when to come back");
        let due = *passes_from.get_or_insert(clock::instant() + Duration::from_secs(seconds));
        assert!(asked_at < due, "refused although its time had come");
        Err(answer.text())
    };
    wait_until("the rate lets a call pass again", look).await;
}

#[tokio::test]
async fn a_thousand_refused_calls_of_one_key_fail_none_of_anothers() {
    let gateway = Gateway::start(Options::default());
    // Both of one organization. The first has its one place taken, the second is used to the very edge of its limits.
    let flood = key(&gateway, "neighbours", &["--concurrency", "1"]);
    let other = key(&gateway, "neighbours", &["--rps", "50", "--burst", "50", "--concurrency", "50"]);
    let held = cuts::open(gateway.client(), &crate::stream(&flood).sim("stall=0")).await;
    let client = &gateway.client();
    let calls = (0..1050).map(|at| {
        let (key, status) = if at % 21 == 20 { (&other, 200) } else { (&flood, 429) };
        let ask = ask(key);
        async move { (client.send(&ask).await.status(), status) }
    });
    let answers: Vec<_> = stream::iter(calls.collect::<Vec<_>>()).buffer_unordered(200).collect().await;
    let wrong: Vec<_> = answers.iter().filter(|(got, expected)| got != expected).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:?}", wrong.len(), answers.len());
    assert_eq!(gateway.simulator.arrived(), 51, "refused calls go nowhere");
    drop(held);
    quiet(&gateway).await;
    let rows = gateway.rows().await;
    let of_flood = rows.with("/key_id", &flood.id).error_types();
    assert_eq!((of_flood["rate_limited"], of_flood["caller_gone"]), (1000, 1));
    assert_eq!(rows.with("/key_id", &other.id).error_types(), [(String::new(), 50)].into());
}
