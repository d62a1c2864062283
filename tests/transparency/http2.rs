//! A caller of HTTP/2 over TLS: bodies are the same bytes both ways, heads are as HTTP/2 has them.

use crate::{
    lane::{Lane, assert_same, fill, head, mark, noise},
    support::{
        gateway::{Gateway, Options},
        simulator::{Break, Fault, Framing, Gate, Reply, Request},
        wait::soon,
    },
};
use bytes::Bytes;
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    x509::{X509, X509NameBuilder},
};
use pingora_core::{
    connectors::http::Connector,
    protocols::http::{client::HttpSession, v2::client::Http2Session},
    upstreams::peer::{ALPN, HttpPeer},
};
use pingora_http::{RequestHeader, ResponseHeader};
use std::{fs, path::Path, sync::Arc};
use tempfile::TempDir;

const KIB: usize = 1024;

/// A gateway that listens with TLS, and a caller of it.
struct Tls {
    lane: Lane,
    connector: Connector,
    peer: HttpPeer,
    /// The certificate and its key.
    _folder: TempDir,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its length is declared.
    Length,
    /// An empty frame says so.
    EmptyFrame,
    /// Its last frame says so.
    LastFrame,
}

/// What the caller got.
struct Got {
    head: ResponseHeader,
    body: Vec<u8>,
}

impl Tls {
    fn new(organization: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let tls = serde_json::json!({"certificate": file("certificate.pem"), "private_key": file("key.pem")});
        let listeners = serde_json::json!([{"address": "127.0.0.1:0", "tls": tls}]);
        let gateway = Gateway::start(Options::default().set("/listeners", listeners));
        let mut peer = HttpPeer::new(gateway.address(), true, "localhost".to_owned());
        peer.options.alpn = ALPN::H2;
        peer.options.verify_cert = false;
        peer.options.verify_hostname = false;
        let lane = Lane::of(Arc::new(gateway), organization);
        Self { lane, connector: Connector::new(None), peer, _folder: folder }
    }

    fn request(&self, method: &str, target: &str, reply: Reply) -> RequestHeader {
        let mut request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        request.insert_header("Host", "gateway.test").unwrap();
        request.insert_header("authorization", self.lane.bearer()).unwrap();
        request.insert_header("x-sim", self.lane.reply(reply)).unwrap();
        request
    }

    async fn session(&self) -> Http2Session {
        let (session, _) = self.connector.get_http_session(&self.peer).await.expect("a session");
        let HttpSession::H2(session) = session else { panic!("HTTP/2 was not agreed on") };
        session
    }

    /// Sends a `GET`, and reads the head of its answer.
    async fn get(&self, target: &str, reply: Reply) -> Http2Session {
        let mut session = self.session().await;
        session.write_request_header(Box::new(self.request("GET", target, reply)), true).unwrap();
        soon("an answer", session.read_response_header()).await.expect("a head");
        session
    }

    /// Sends a request with its body in frames of uneven sizes, and reads the answer.
    async fn send(&self, mut request: RequestHeader, body: &[u8], end: End) -> Got {
        if end == End::Length {
            request.insert_header("content-length", body.len()).unwrap();
        }
        let mut session = self.session().await;
        session.write_request_header(Box::new(request), false).unwrap();
        let mut rest = body;
        let mut sizes = [1, 700, 16 * KIB, 3, 9000].into_iter().cycle();
        while !rest.is_empty() {
            let (frame, left) = rest.split_at(rest.len().min(sizes.next().unwrap_or(1)));
            rest = left;
            let last = rest.is_empty() && end != End::EmptyFrame;
            let written = session.write_request_body(Bytes::copy_from_slice(frame), last);
            // A refusal may come before all is written.
            drop(soon("the gateway to read", written).await);
        }
        drop(session.finish_request_body());
        soon("an answer", session.read_response_header()).await.expect("a head");
        let head = session.response_header().cloned().expect("it was read");
        let (body, whole) = read(&mut session).await;
        assert!(whole, "the answer broke off");
        Got { head, body }
    }

    async fn received(&self, mark: &str) -> Request {
        let marked = |request: &Request| request.complete && request.header("x-mark") == Some(mark);
        self.lane.gateway.simulator.wait_for("the marked request", marked).await.unwrap()
    }
}

/// The body of an answer, and whether it came to its end.
async fn read(session: &mut Http2Session) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match soon("the body", session.read_response_body()).await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}

fn make_certificate(folder: &Path) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    made.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    made.set_pubkey(&key).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    fs::write(folder.join("certificate.pem"), made.build().to_pem().unwrap()).unwrap();
    fs::write(folder.join("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
}

/// JSON of exactly that size.
fn json(size: usize) -> Vec<u8> {
    let (before, behind) = (&b"{\"model\":\"gpt-5.4-mini\",\"input\":\""[..], &b"\"}"[..]);
    let middle = fill(b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOP", size - before.len() - behind.len());
    [before, &middle, behind].concat()
}

#[tokio::test]
async fn bodies_of_http_2_arrive_byte_for_byte() {
    let tls = Tls::new("http2-bodies");
    for size in [KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, KIB * KIB] {
        for (target, body) in [("/openai/v1/embeddings", json(size)), ("/openai/v1/uploads", noise(size))] {
            for end in [End::Length, End::EmptyFrame, End::LastFrame] {
                let what = format!("{size} to {target}, {end:?}");
                let mark = mark();
                let mut request = tls.request("POST", target, Reply::json(200, "{}"));
                request.insert_header("content-type", "application/json").unwrap();
                request.insert_header("x-mark", mark.clone()).unwrap();
                let got = tls.send(request, &body, end).await;
                // What Pingora could not replay.
                if target.ends_with("embeddings") && end == End::LastFrame && size > 64 * KIB {
                    assert_eq!(got.head.status, 400, "{what}");
                    continue;
                }
                assert_eq!(got.head.status, 200, "{what}: {}", String::from_utf8_lossy(&got.body));
                let received = tls.received(&mark).await;
                assert_same(&what, &received.body, &body);
                let length = (end == End::Length).then(|| size.to_string());
                assert_eq!(received.header("content-length"), length.as_deref(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_of_http_2_reaches_the_provider_in_lower_case_with_its_cookies_in_one_line() {
    let tls = Tls::new("http2-head");
    let mark = mark();
    let mut request = tls.request("POST", "/openai/v1/uploads?a=%2f&&b", Reply::json(200, "{}"));
    for (name, value) in [("x-one", "1"), ("x-dup", "a"), ("cookie", "c=1"), ("x-dup", "b"), ("cookie", "d=2")] {
        request.append_header(name, value).unwrap();
    }
    request.insert_header("x-mark", mark.clone()).unwrap();
    assert_eq!(tls.send(request, b"0123", End::Length).await.head.status, 200);
    let received = tls.received(&mark).await;
    assert_eq!(received.head.first_line(), "POST /v1/uploads?a=%2f&&b HTTP/1.1");
    let own = |line: &&str| !line.starts_with("x-sim:") && !line.starts_with("x-mark:");
    let mut lines: Vec<&str> = received.head.lines().filter(own).collect();
    lines.sort_unstable();
    let host = format!("Host: {}", tls.lane.gateway.simulator.address());
    let credential = format!("authorization: Bearer {}", tls.lane.gateway.credential("openai"));
    let expected = ["Content-Length: 4", &host, &credential, "cookie: c=1; d=2", "x-dup: a", "x-dup: b", "x-one: 1"];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn answers_to_http_2_are_the_same_bytes_with_one_header_more() {
    let tls = Tls::new("http2-answers");
    for framing in [Framing::ContentLength, Framing::Chunked, Framing::Close] {
        for size in [0, 1, 65_537, KIB * KIB] {
            let body = noise(size);
            let reply = Reply::new(200, "audio/mpeg", body.clone())
                .with_header("Set-Cookie", "a=1")
                .with_header("Server", "theirs")
                .with_header("set-cookie", "b=2")
                .delivered(|delivery| delivery.framing = framing);
            let request = tls.request("GET", "/openai/v1/files/f/content", reply);
            let got = tls.send(request, b"", End::EmptyFrame).await;
            assert_same(&format!("{size} {framing:?}"), &got.body, &body);
            let mut names: Vec<&str> = got.head.headers.keys().map(http::HeaderName::as_str).collect();
            names.retain(|name| !["date", "content-length"].contains(name));
            names.sort_unstable();
            assert_eq!(names, ["content-type", "server", "set-cookie", "x-gateway-request-id"]);
            assert_eq!(got.head.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        }
    }
}

#[tokio::test]
async fn errors_and_redirects_pass_to_http_2_too() {
    let tls = Tls::new("http2-errors");
    for status in [301, 400, 429, 500, 529] {
        let lines = [&*format!("HTTP/1.1 {status} X"), "Location: /x", "Retry-After: 7", "Content-Length: 2"];
        let wire = [&head(&["HTTP/1.1 103 Early Hints", "Link: </x>"])[..], &head(&lines), b"{}"].concat();
        let request = tls.request("GET", "/openai/v1/models", Reply::raw(wire));
        let got = tls.send(request, b"", End::EmptyFrame).await;
        assert_eq!((got.head.status.as_u16(), &*got.body), (status, &b"{}"[..]));
        let value = |name: &str| got.head.headers.get(name).and_then(|value| value.to_str().ok());
        let found = (value("location"), value("retry-after"), value("link"), value("connection"));
        assert_eq!(found, (Some("/x"), Some("7"), None, None));
    }
}

#[tokio::test]
async fn each_piece_of_a_stream_reaches_http_2_before_the_next_is_sent() {
    let tls = Tls::new("http2-stream");
    let pieces: Vec<Vec<u8>> = [1, 2, 1000, 16_384, 1, 65_536].map(noise).to_vec();
    let gate = Gate::default();
    let reply = Reply::pieces("text/event-stream", pieces.clone()).delivered(|delivery| {
        delivery.gate = Some(gate.clone());
    });
    let mut session = tls.get("/openai/v1/files/f/content", reply).await;
    let mut body = Vec::new();
    let mut size = 0;
    for piece in &pieces {
        size += piece.len();
        while body.len() < size {
            let came = soon("a piece", session.read_response_body()).await.expect("a whole answer");
            body.extend_from_slice(&came.expect("more to come"));
        }
        assert_eq!(body.len(), size, "and nothing of the next");
        gate.let_one_pass();
    }
    assert_eq!(read(&mut session).await, (Vec::new(), true));
    assert_same("stream", &body, &pieces.concat());
}

#[tokio::test]
async fn a_cut_answer_never_looks_complete_to_http_2() {
    let tls = Tls::new("http2-cut");
    let body = noise(100_000);
    for (framing, end) in [
        (Framing::ContentLength, Break::Fin),
        (Framing::ContentLength, Break::Reset),
        (Framing::Chunked, Break::Fin),
        (Framing::Chunked, Break::Reset),
        (Framing::Close, Break::Reset),
    ] {
        for after in [1, 50_000, 99_999] {
            let reply = Reply::new(200, "audio/mpeg", body.clone()).with_fault(Fault::AfterBody(after, end));
            let reply = reply.delivered(|delivery| delivery.framing = framing);
            let mut session = tls.get("/openai/v1/files/f/content", reply).await;
            // A reset may overtake what was sent before it: even the head, and then the answer is ours.
            if end == Break::Reset && session.response_header().is_some_and(|head| head.status == 502) {
                continue;
            }
            let (came, whole) = read(&mut session).await;
            assert!(!whole, "{framing:?} {end:?} after {after}");
            assert_same("what came", &came, &body[..came.len()]);
        }
    }
}
