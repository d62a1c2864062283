//! One way in: who may come, what they may do, how many at once; and the routes behind it.

use super::{
    budget::Budget,
    fault::{Code, Fault},
    lease::Leases,
    reply::{Body, Heading, Rows},
    request::{self, Fields, Received, header},
    store::Store,
};
use crate::base::{
    clock::{self, Duration},
    ids::RequestId,
    secret::Secret,
};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Frame, Incoming},
};
use sha2::{Digest, Sha256};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::Semaphore;

/// The longest wait for a free place among the running statements.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(30);

/// A way in.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) store: Arc<Store>,
    /// Absent where the file system decides who may come.
    pub(super) password: Option<Secret>,
    /// Only reads.
    pub(super) reader: bool,
    /// Statements that run at once.
    pub(super) slots: Arc<Semaphore>,
    pub(super) budget: Budget,
    /// Present where gateways hold their leases.
    pub(super) leases: Option<Leases>,
}

impl Door {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let mut heading = Heading { query_id: RequestId::generate().to_string(), version: self.store.version.clone() };
        let answered = self.route(request, &mut heading).await;
        Ok(answered.unwrap_or_else(|fault| {
            tracing::debug!(code = fault.code, query_id = heading.query_id, "statement refused");
            heading.fault(&fault)
        }))
    }

    async fn route(&self, request: Request<Incoming>, heading: &mut Heading) -> Result<Response<Body>, Fault> {
        let (head, body) = request.into_parts();
        let fields = Fields::from_url(head.uri.query().unwrap_or_default())?;
        match (&head.method, head.uri.path(), &self.leases) {
            (&Method::GET | &Method::HEAD, "/ping", _) => return Ok(heading.text("Ok.\n")),
            (&Method::GET | &Method::HEAD, "/", _) if head.uri.query().is_none() => return Ok(heading.text("Ok.\n")),
            (&Method::GET, "/lease", Some(leases)) => return Ok(heading.stream(lease_body(leases))),
            (&Method::GET | &Method::HEAD | &Method::POST, "/", _) => {}
            (method, path, _) => {
                return Err(Fault::new(Code::NotImplemented, format!("There is no handle {method} {path}")));
            }
        }
        self.authenticate(&head.headers, &fields)?;
        if let Some(id) = fields.query_id() {
            id.clone_into(&mut heading.query_id);
        }
        let received = request::receive(head, body, fields, self.budget.share()).await?;
        let slot = tokio::time::timeout(SLOT_WAIT_MAX, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(Fault::new(Code::CannotScheduleTask, "Too many statements at once, try again"));
        };
        let (store, reader) = (Arc::clone(&self.store), self.reader);
        // The slot goes along: a statement whose caller has gone still counts until it ends.
        let ran = tokio::task::spawn_blocking(move || {
            let rows = run(&store, received, reader);
            drop(slot);
            rows
        });
        let rows = ran.await.map_err(|error| Fault::new(Code::CannotScheduleTask, error))??;
        Ok(heading.rows(rows))
    }

    fn authenticate(&self, headers: &HeaderMap, fields: &Fields) -> Result<(), Fault> {
        let Some(password) = &self.password else { return Ok(()) };
        let basic =
            header(headers, "authorization").split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let (user, given) = if let Some((_, encoded)) = basic {
            let decoded = decode_base64(encoded.trim()).unwrap_or_default();
            let (user, given) = decoded.split_once(':').unwrap_or((decoded.as_str(), ""));
            (user.to_owned(), given.to_owned())
        } else {
            let either = |name, field| match header(headers, name) {
                "" => fields.get(field).unwrap_or_default().to_owned(),
                value => value.to_owned(),
            };
            (either("x-clickhouse-user", "user"), either("x-clickhouse-key", "password"))
        };
        // Digests of equal length: the comparison's time tells nothing about the password.
        let same = Sha256::digest(given.as_bytes()) == Sha256::digest(password.expose().as_bytes());
        if same && matches!(user.as_str(), "" | "default") {
            return Ok(());
        }
        let text = "default: Authentication failed: password is incorrect, or there is no user with such name";
        Err(Fault::new(Code::AuthenticationFailed, text))
    }
}

fn run(store: &Store, received: Received, reader: bool) -> Result<Rows, Fault> {
    let started = clock::instant();
    let blocks = received.wants_blocks();
    let (job, format) = request::parse(received, reader)?;
    let answer = store.run(&job)?;
    Rows::new(answer, format, blocks, started.elapsed(), job.share)
}

/// One line at once, then nothing until the store stops. The lease lasts as long as the body, so as the connection.
fn lease_body(leases: &Leases) -> Body {
    let lease = leases.take();
    let first = std::future::ready(Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"leased\n"))));
    let last = async move {
        lease.stopped().await;
        Ok(Frame::data(Bytes::new()))
    };
    let frames = futures_util::StreamExt::chain(futures_util::stream::once(first), futures_util::stream::once(last));
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// Standard base64; `None` when it is none or no text.
fn decode_base64(text: &str) -> Option<String> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte.checked_sub(b'A')?,
            b'a'..=b'z' => byte.checked_sub(b'a')?.checked_add(26)?,
            b'0'..=b'9' => byte.checked_sub(b'0')?.checked_add(52)?,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        count = count.saturating_add(6);
        if count >= 8 {
            count = count.saturating_sub(8);
            out.push(u8::try_from(bits >> count & 0xFF).ok()?);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (encoded, text) in [
            ("ZGVmYXVsdDpzZWNyZXQ=", Some("default:secret")),
            ("Og==", Some(":")),
            ("w7bDpMO8", Some("öäü")),
            ("", Some("")),
            ("%%", None),
            ("/////w==", None),
        ] {
            assert_eq!(decode_base64(encoded).as_deref(), text, "{encoded}");
        }
    }
}
