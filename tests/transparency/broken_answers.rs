//! Answers that break off: the caller gets what came, and can tell that it is not all.

use crate::{
    lane::{Lane, assert_same, noise},
    support::{
        http::Ask,
        simulator::{Break, Coding, Fault, Framing, Reply},
    },
};

const SIZE: usize = 200_000;

fn ask(lane: &Lane, reply: Reply) -> Ask {
    Ask::get("/openai/v1/files/f/content").header("authorization", &lane.bearer()).sim(&lane.reply(reply))
}

#[tokio::test]
async fn a_cut_answer_never_looks_complete() {
    let lane = Lane::new("broken");
    let body = noise(SIZE);
    for framing in [Framing::ContentLength, Framing::Chunked, Framing::Close] {
        for end in [Break::Fin, Break::Reset] {
            if (framing, end) == (Framing::Close, Break::Fin) {
                continue; // that is how such an answer ends
            }
            for after in [0, 1, 1000, SIZE - 1] {
                let what = format!("{framing:?} {end:?} after {after}");
                let reply = Reply::new(200, "audio/mpeg", body.clone()).with_fault(Fault::AfterBody(after, end));
                let reply = reply.delivered(|delivery| delivery.framing = framing);
                let answer = lane.gateway.client().send(&ask(&lane, reply)).await;
                // A reset may overtake what was sent before it: even the head, and then the answer is ours.
                if end == Break::Reset && answer.status() == 502 {
                    continue;
                }
                assert!(!answer.complete && answer.status() == 200, "{what}: {answer:?}");
                assert!(answer.body.len() <= after, "{what}");
                assert_same(&what, &answer.body, &body[..answer.body.len()]);
                if end == Break::Fin {
                    assert_eq!(answer.body.len(), after, "{what}: all that came has passed");
                }
                assert_eq!(lane.usage_of(&answer).await["error_type"], "provider_cut", "{what}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_within_a_chunk_or_before_the_last_one_is_not_complete() {
    let lane = Lane::new("broken-chunks");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (wire, came) in [
        ("a\r\n01234", "01234"),
        ("5\r\n01234", "01234"),
        ("5\r\n01234\r\n", "01234"),
        ("5\r\n01234\r\n0", "01234"),
        ("5\r\n01234\r\nzz\r\n", "01234"),
    ] {
        let answer = lane.answered(format!("{head}{wire}").as_bytes()).await.expect(200);
        assert!(!answer.complete, "{wire:?}: {answer:?}");
        assert!(came.starts_with(&answer.text()), "{wire:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_cut_compressed_stream_passes_as_far_as_it_came() {
    let lane = Lane::new("broken-coded");
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate] {
        let reply = Reply::pieces("text/event-stream", vec![b"data: 1\n\n".to_vec(), b"data: 2\n\n".to_vec()]);
        let reply = reply.with_fault(Fault::AfterBody(12, Break::Fin)).delivered(|delivery| delivery.coding = coding);
        let answer = lane.gateway.client().send(&ask(&lane, reply)).await.expect(200);
        assert_eq!((answer.body.len(), answer.complete), (12, false), "{coding:?}");
    }
}

#[tokio::test]
async fn an_answer_of_http_1_0_that_ends_with_its_connection_is_complete() {
    let lane = Lane::new("broken-http-1-0");
    let body = noise(SIZE);
    for head in ["HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"]
    {
        let answer = lane.answered(&[head.as_bytes(), &body].concat()).await.expect(200);
        assert_same(head, &answer.body, &body);
        assert!(answer.complete);
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.head.first_line(), "HTTP/1.1 200 OK");
    }
}
