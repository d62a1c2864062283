//! One attempt at one provider: the request goes out, the answer is metered and read.

use super::{
    catalog::Entry,
    dial::{Dial, Incoming, NoAnswer, Outgoing},
    refusal::No,
};
use crate::{
    exchange::{
        admit::Gate,
        auth_slots::Swap,
        choose::Attempts,
        refusal::{Kind, Refusal},
        relay::{Answer, Sent},
        route::Route,
        target::Target,
    },
    metering::{decode::Decoders, prompt::Prompt},
};
use bytes::Bytes;
use http::{HeaderMap, header};

/// The longest wait that a provider's `Retry-After` may ask our callers for.
const RETRY_AFTER_SECONDS_MAX: u32 = 3600;

/// Why an attempt came to nothing. Texts are for the log, and hold nothing of the prompt or the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// No connection.
    Unreachable(String),
    TimedOut(String),
    /// 429: the provider asks to wait.
    RateLimited {
        retry_after_seconds: u32,
    },
    /// 503 or 529.
    Overloaded {
        status: u16,
        retry_after_seconds: u32,
    },
    /// Another status that is no answer.
    Status(u16),
    /// The answer broke off, is too large, or cannot be read.
    Broken(String),
    /// A defect of ours.
    Internal(String),
}

impl Failed {
    /// `None` for a status that is an answer.
    fn of_status(status: u16, retry_after_seconds: u32) -> Option<Self> {
        match status {
            200..=299 => None,
            408 | 504 => Some(Self::TimedOut(format!("it answered {status}"))),
            429 => Some(Self::RateLimited { retry_after_seconds }),
            503 | 529 => Some(Self::Overloaded { status, retry_after_seconds }),
            _ => Some(Self::Status(status)),
        }
    }

    /// Whether another provider may do better: not where the request itself was turned down.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500,
            Self::Internal(_) => false,
            _ => true,
        }
    }

    /// `meta.fallback.reason`.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "connect",
            Self::TimedOut(_) => "timeout",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } | Self::Status(_) | Self::Internal(_) => "provider_error",
            Self::Broken(_) => "broken_answer",
        }
    }
}

impl From<NoAnswer> for Failed {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Unreachable(inside) => Self::Unreachable(inside),
            NoAnswer::Silent(inside) => Self::TimedOut(inside),
            NoAnswer::Broken(inside) => Self::Broken(inside),
        }
    }
}

impl From<Failed> for No {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreachable(inside) => {
                Refusal::new(Kind::ProviderUnreachable, "the provider cannot be reached").with_inside(inside).into()
            }
            Failed::TimedOut(inside) => {
                Refusal::new(Kind::ProviderTimeout, "the provider did not answer in time").with_inside(inside).into()
            }
            Failed::RateLimited { retry_after_seconds } => Self::provider_busy(retry_after_seconds, "it answered 429"),
            Failed::Overloaded { status, retry_after_seconds } => {
                Self::provider_busy(retry_after_seconds, format!("it answered {status}"))
            }
            Failed::Status(status) => Self::provider_unavailable(format!("it answered {status}")),
            Failed::Broken(inside) => Self::provider_unavailable(inside),
            Failed::Internal(inside) => Refusal::internal(inside).into(),
        }
    }
}

/// What is asked of one model.
pub(super) struct Asking<'a> {
    pub(super) gate: &'a Gate,
    pub(super) dial: &'a dyn Dial,
    pub(super) entry: &'a Entry,
    pub(super) body: Bytes,
    pub(super) answer_bytes_max: usize,
}

impl Asking<'_> {
    /// Asks, and gives the answer's text. `attempts` counts the tries, `answer` is metered as far as it comes.
    pub(super) async fn ask(&self, attempts: &mut Attempts, answer: &mut Option<Answer>) -> Result<String, Failed> {
        let entry = self.entry;
        let route = self.gate.routes.load().find(entry.model.provider.as_str()).cloned();
        let route = route.ok_or_else(|| Failed::Unreachable("there is no such provider any more".to_owned()))?;
        let mut incoming = self.connect(&route, attempts).await?;
        let status = incoming.status();
        let retry_after_seconds = retry_after_seconds(incoming.headers());
        let encoding = content_encoding(incoming.headers());
        let sent = Sent { prompt: Prompt::of_body(&entry.model.model, self.body.clone()), characters: None };
        let dialect = route.provider.dialect;
        let answer = answer.insert(Answer::begin(dialect, Some(&entry.native), status, incoming.headers(), sent));
        let mut body = Vec::new();
        while let Some(chunk) = incoming.next().await? {
            answer.relayed(&chunk);
            if body.len() + chunk.len() > self.answer_bytes_max {
                return Err(Failed::Broken("the answer is larger than prompt.answer_bytes_max".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        if let Some(failed) = Failed::of_status(status, retry_after_seconds) {
            return Err(failed);
        }
        let body = decoded(&encoding, body, self.answer_bytes_max)?;
        entry.wire.answer(&body).map_err(|unreadable| Failed::Broken(unreadable.to_string()))
    }

    /// Tries the provider's addresses until one takes the request.
    async fn connect(&self, route: &Route, attempts: &mut Attempts) -> Result<Box<dyn Incoming>, Failed> {
        loop {
            let address = attempts.choose(route).map_err(|no| Failed::Unreachable(no.inside.unwrap_or_default()))?;
            match self.dial.post(route, address, self.outgoing(route)?).await {
                Err(NoAnswer::Unreachable(inside)) => {
                    if !attempts.connect_failed(route, self.gate.settings.attempts_max) {
                        return Err(Failed::Unreachable(inside));
                    }
                }
                answered => return Ok(answered?),
            }
        }
    }

    fn outgoing(&self, route: &Route) -> Result<Outgoing, Failed> {
        let provider = &route.provider;
        let internal = |what: &dyn std::fmt::Display| Failed::Internal(format!("{}: {what}", provider.name));
        let swap = Swap::plan(&HeaderMap::new(), None, provider).map_err(|bad| internal(&bad))?;
        let target = target_of(self.entry).map_err(|bad| internal(&bad))?;
        let mut headers = self.entry.wire.headers();
        headers.extend(swap.append);
        let path = target.upstream_path(&provider.upstream.base_path, &swap.query);
        Ok(Outgoing { path, headers, body: self.body.clone() })
    }
}

/// The target by which the proxy would reach the same endpoint.
pub(super) fn target_of(entry: &Entry) -> Result<Target, crate::exchange::target::BadTarget> {
    Target::parse(format!("/{}{}", entry.model.provider, entry.path).as_bytes())
}

/// Whole seconds of `Retry-After`; 1 where it says nothing that can be read.
fn retry_after_seconds(headers: &HeaderMap) -> u32 {
    let said = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    said.unwrap_or(1).clamp(1, RETRY_AFTER_SECONDS_MAX)
}

fn content_encoding(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    lines.filter_map(|line| line.to_str().ok()).collect::<Vec<_>>().join(",")
}

/// The body without its coding: it was asked for without one, but not every server listens.
fn decoded(encoding: &str, body: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, Failed> {
    let broken = |error: &dyn std::fmt::Display| Failed::Broken(error.to_string());
    let mut decoders = Decoders::new(encoding).map_err(|error| broken(&error))?;
    if decoders.count() == 0 {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let progress = decoders.read(&body, most, &mut |piece| plain.extend_from_slice(piece));
    if progress.map_err(|error| broken(&error))?.is_done && plain.len() <= bytes_max {
        return Ok(plain);
    }
    Err(broken(&"the answer decodes to more than prompt.answer_bytes_max"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::refusal::Code;

    #[test]
    fn each_failure_has_its_answer_and_its_reason() {
        let inside = || "i".to_owned();
        let cases = [
            (Failed::Unreachable(inside()), true, "connect", Code::ProviderUnavailable, 502),
            (Failed::TimedOut(inside()), true, "timeout", Code::ProviderTimeout, 504),
            (Failed::Broken(inside()), true, "broken_answer", Code::ProviderUnavailable, 502),
            (Failed::Internal(inside()), false, "provider_error", Code::Internal, 500),
        ];
        let of_status = |status, retryable, reason, code, ours| {
            (Failed::of_status(status, 7).unwrap(), retryable, reason, code, ours)
        };
        let statuses = [
            of_status(302, false, "provider_error", Code::ProviderUnavailable, 502),
            of_status(400, false, "provider_error", Code::ProviderUnavailable, 502),
            of_status(401, false, "provider_error", Code::ProviderUnavailable, 502),
            of_status(408, true, "timeout", Code::ProviderTimeout, 504),
            of_status(429, true, "rate_limited", Code::ProviderUnavailable, 503),
            of_status(500, true, "provider_error", Code::ProviderUnavailable, 502),
            of_status(503, true, "provider_error", Code::ProviderUnavailable, 503),
            of_status(504, true, "timeout", Code::ProviderTimeout, 504),
            of_status(529, true, "provider_error", Code::ProviderUnavailable, 503),
        ];
        for (failed, retryable, reason, code, status) in cases.into_iter().chain(statuses) {
            assert_eq!((failed.is_retryable(), failed.reason()), (retryable, reason), "{failed:?}");
            let no = No::from(failed.clone());
            assert_eq!((no.code, no.refusal.kind.status()), (code, status), "{failed:?}");
            assert_eq!(no.refusal.retry_after_seconds, (status == 503).then_some(7), "{failed:?}");
        }
        assert_eq!(Failed::of_status(200, 1), None);
    }
}
