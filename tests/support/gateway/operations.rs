//! The gateway's own numbers: `/metrics` read without a runtime, so that `Drop` can ask too.

use super::{super::http::AnswerReader, names};
use bytes::BytesMut;
use sociaro_gateway::base::clock::Duration;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// One `GET` on the operations surface: status and body.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let text = |error: std::io::Error| format!("GET {path}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(text)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(text)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: operations.test\r\nconnection: close\r\n\r\n").map_err(text)?;
    let (mut reader, mut buffer, mut bytes) = (AnswerReader::new("GET"), BytesMut::new(), [0; 16 * 1024]);
    while !reader.feed(&mut buffer)? {
        match stream.read(&mut bytes).map_err(text)? {
            0 => break,
            read => buffer.extend_from_slice(&bytes[..read]),
        }
    }
    let answer = reader.end();
    Ok((answer.status(), answer.text()))
}

/// One reading of all metrics.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Asks the gateway.
    pub fn read(operations: SocketAddr) -> Result<Self, String> {
        match get(operations, "/metrics")? {
            (200, text) => Ok(Self(text)),
            (status, text) => Err(format!("/metrics answered {status}: {text}")),
        }
    }

    /// The sum of all samples of a metric for whose labels the predicate holds; labels stand as in the text.
    pub fn sum(&self, name: &str, labels: impl Fn(&str) -> bool) -> f64 {
        self.samples(name).filter(|(found, _)| labels(found)).map(|(_, value)| value).sum()
    }

    /// The sum of all samples of a metric.
    pub fn total(&self, name: &str) -> f64 {
        self.sum(name, |_| true)
    }

    /// How many exchanges must have made a usage event, and how many may have.
    pub fn exchanges_with_events(&self) -> (f64, f64) {
        let unrouted = self.sum(names::EXCHANGES, |labels| labels.contains(names::EXCHANGES_UNROUTED));
        let own = self.sum(names::EXCHANGES, |labels| labels.contains(names::EXCHANGES_OWN));
        let most = self.total(names::EXCHANGES) - own;
        (most - unrouted - self.total(names::FLOODS_REFUSED), most)
    }

    /// Everything, as it came.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            let (labels, value) = rest.rsplit_once(' ')?;
            Some((labels, value.parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_label() {
        let metrics = Metrics(
            "# HELP a b\ngateway_exchanges_total{provider=\"openai\",status=\"2xx\"} 3\n\
             gateway_exchanges_total{provider=\"gateway\",status=\"2xx\"} 4\n\
             gateway_exchanges_total{provider=\"none\",status=\"4xx\"} 2\ngateway_exchanges_total_x 9\nother 1\n"
                .to_owned(),
        );
        let seen = (metrics.total("gateway_exchanges_total"), metrics.exchanges_with_events(), metrics.total("other"));
        assert_eq!(seen, (9.0, (3.0, 5.0), 1.0));
    }
}
