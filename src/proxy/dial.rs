//! Connections to providers for requests of our own making: pooled, with the TLS and the timeouts that the proxy has.

use super::{peer, server::server_conf, settings::Settings};
use crate::{
    base::clock::Duration,
    exchange::route::Route,
    prompt::dial::{Dial, Incoming, NoAnswer, Outgoing},
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use pingora_core::{
    connectors::{ConnectorOptions, http::Connector},
    protocols::http::client::HttpSession,
    upstreams::peer::HttpPeer,
};
use pingora_error::{BError, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use std::{net::SocketAddr, sync::Arc};

/// Makes connections, and keeps those that can be used again.
pub struct Dialer(Arc<Connector>);

impl Dialer {
    /// With the proxy's own settings.
    pub fn new(settings: &Settings) -> Self {
        let options = ConnectorOptions::from_server_conf(&server_conf(settings, 1));
        Self(Arc::new(Connector::new(Some(options))))
    }
}

#[async_trait]
impl Dial for Dialer {
    async fn post(&self, route: &Route, address: SocketAddr, request: Outgoing) -> Result<Box<dyn Incoming>, NoAnswer> {
        let head = head_of(route, &request).map_err(|error| NoAnswer::Broken(told(&error)))?;
        let peer = peer::of(route, address);
        let timeouts = &route.provider.timeouts;
        // From here on, errors are of the connection alone.
        let connected = self.0.get_http_session(&peer).await;
        let (mut session, _reused) = connected.map_err(|error| NoAnswer::Unreachable(told(&error)))?;
        session.set_read_timeout(Some(timeouts.read));
        session.set_write_timeout(Some(timeouts.write));
        let exchanged = async {
            session.write_request_header(Box::new(head)).await?;
            session.write_request_body(request.body, true).await?;
            session.finish_request_body().await?;
            loop {
                session.read_response_header().await?;
                match session.response_header() {
                    Some(head) if head.status.is_informational() => {}
                    Some(head) => return Ok(head.clone()),
                    None => return pingora_error::Error::e_explain(ErrorType::InvalidHTTPHeader, "no head"),
                }
            }
        };
        let head = exchanged.await.map_err(no_answer)?;
        let idle = timeouts.idle;
        Ok(Box::new(Reading { connector: Arc::clone(&self.0), session: Some(session), head, peer, idle }))
    }
}

fn head_of(route: &Route, request: &Outgoing) -> Result<RequestHeader, BError> {
    let mut head = RequestHeader::build(Method::POST, request.path.as_bytes(), Some(request.headers.len() + 2))?;
    head.insert_header(header::HOST, route.host_header.clone())?;
    for (name, value) in &request.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()))?;
    Ok(head)
}

/// What the log may say of an error: its kind and where it arose, never its context, which can name addresses.
fn told(error: &BError) -> String {
    format!("{} ({})", error.etype().as_str(), error.esource().as_str())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_answer(error: BError) -> NoAnswer {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => NoAnswer::Silent(told(&error)),
        _ => NoAnswer::Broken(told(&error)),
    }
}

/// An answer that is being read. The connection goes back to the pool when all is read, and is closed otherwise.
struct Reading {
    connector: Arc<Connector>,
    session: Option<HttpSession>,
    head: ResponseHeader,
    peer: HttpPeer,
    idle: Duration,
}

#[async_trait]
impl Incoming for Reading {
    fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    async fn next(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        let Some(session) = &mut self.session else { return Ok(None) };
        if let Some(chunk) = session.read_response_body().await.map_err(no_answer)? {
            return Ok(Some(chunk));
        }
        if let Some(session) = self.session.take().filter(|_| !self.idle.is_zero()) {
            self.connector.release_http_session(session, &self.peer, Some(self.idle)).await;
        }
        Ok(None)
    }
}
