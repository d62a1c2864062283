//! The hooks of Pingora's proxy, each a translation to one stage of the exchange.

use super::{
    answer_head,
    body::{Carried, Unread},
    downstream,
    drain::Places,
    fault, head_time, hold, own, peer,
    usage_mode::AskedUsage,
};
use crate::{
    auth::key::UsageMode,
    base::clock,
    exchange::{
        admit::{Gate, Identified, Routed, asked},
        arrive,
        exchange::{Ending, Exchange, Surface},
        refusal::{Kind, Refusal},
        relay::{Answer, Sent},
        settle::Settlement,
        target::{BadTarget, Target},
    },
    metering::prompt::Prompt,
    prompt,
    providers::provider::{DrainBounds, EndpointKind},
};
use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use pingora_core::{modules::http::HttpModules, upstreams::peer::HttpPeer};
use pingora_error::{BError, Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The header that every answer carries.
pub(super) const REQUEST_ID: &str = "X-Gateway-Request-Id";

/// The status of an answer that goes on as a WebSocket.
const SWITCHED: u16 = 101;
/// A body that is passed on must come at least so fast, on the whole.
const BODY_BYTES_PER_SECOND_MIN: u64 = 1024;

/// The proxy: the faces of the modules that a request meets.
pub struct Gateway {
    pub gate: Arc<Gate>,
    pub settlement: Arc<Settlement>,
    /// Our own endpoints.
    pub own: Router,
    /// Places for answers whose callers have gone.
    pub drains: Places,
    /// Set when the process drains: connections close after their answer.
    pub draining: Arc<AtomicBool>,
}

/// What Pingora keeps of a request between its hooks.
pub struct Passage {
    pub(super) exchange: Exchange,
    pub(super) carried: Carried,
    /// The provider was asked for usage on the caller's behalf.
    asked_usage: Option<AskedUsage>,
    /// A refusal on its way to `fail_to_proxy`.
    pub(super) refusal: Option<Refusal>,
}

impl Passage {
    /// Ends the current hook with a refusal; `fail_to_proxy` writes it.
    #[expect(clippy::unnecessary_box_returns, reason = "Pingora's hooks return boxed errors")]
    pub(super) fn stop(&mut self, refusal: Refusal) -> BError {
        let error = Error::explain(ErrorType::HTTPStatus(refusal.kind.status()), refusal.kind.as_str());
        self.refusal = Some(refusal);
        error
    }

    /// How far the answer is read on if its caller goes: as the provider's settings say, where there is something to meter.
    fn drain_bounds(&self) -> Option<DrainBounds> {
        let routed = self.exchange.routed.as_ref()?;
        let is_metered = routed.endpoint.as_ref().is_some_and(|endpoint| endpoint.kind == EndpointKind::Inference);
        routed.route.provider.drain.filter(|_| is_metered)
    }

    fn routed(&self) -> Result<&Routed, Refusal> {
        self.exchange.routed.as_ref().ok_or_else(|| Refusal::internal("forwarding before routing"))
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed: Pingora moves the future that holds it, and a kilobyte moved many times costs more than the allocation.
    type CTX = Box<Passage>;

    fn new_ctx(&self) -> Box<Passage> {
        let exchange = Exchange::begin(Arc::clone(&self.settlement));
        Box::new(Passage { exchange, carried: Carried::default(), asked_usage: None, refusal: None })
    }

    /// No modules: bodies pass as they are.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, passage: &mut Box<Passage>) -> Result<()> {
        head_time::head_arrived(session);
        let settings = &self.gate.settings;
        if session.get_keepalive().is_some() {
            let seconds = settings.keepalive_seconds;
            let keep = !self.draining.load(Ordering::Relaxed) && seconds > 0;
            session.set_keepalive(keep.then_some(seconds));
        }
        session.set_write_timeout(Some(settings.caller_write_max));
        passage.exchange.method = session.req_header().method.clone();
        let two_framings = downstream::has_two_framings(session);
        let head = session.req_header();
        let checked = arrive::Head {
            method: &head.method,
            version: head.version,
            target: head.raw_path(),
            headers: &head.headers,
            two_framings,
        };
        arrive::check(&checked, settings.head_bytes_max).map_err(|refusal| passage.stop(refusal))
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Box<Passage>) -> Result<bool> {
        if prompt::is_surface(session.req_header().raw_path()) && !downstream::has_fragment(session) {
            return own::serve_prompt(&self.own, session, passage).await;
        }
        let parsed = if downstream::has_fragment(session) {
            Err(BadTarget::Character)
        } else {
            Target::parse(session.req_header().raw_path())
        };
        let target = match parsed {
            Ok(target) => target,
            Err(bad) => return downstream::refuse(session, passage, Refusal::bad_request(bad.to_string())).await,
        };
        if own::is_own(target.provider()) {
            passage.exchange.surface = Surface::Own;
            return own::serve(&self.own, session, passage).await;
        }
        match self.admit(session, passage, target).await {
            Ok(()) => Ok(false),
            Err(Unread::Refused(refusal)) => downstream::refuse(session, passage, refusal).await,
            Err(Unread::Broken(error)) => Err(error),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, passage: &mut Box<Passage>) -> Result<Box<HttpPeer>> {
        let route = match passage.routed() {
            Ok(routed) => Arc::clone(&routed.route),
            Err(refusal) => return Err(passage.stop(refusal)),
        };
        let address = passage.exchange.attempts.choose(&route).map_err(|refusal| passage.stop(refusal))?;
        Ok(Box::new(peer::of(&route, address)))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        passage.carried.begin_try(session.get_retry_buffer().is_some());
        peer::rewrite(request, &passage.exchange, passage.carried.is_held())?;
        passage.asked_usage.as_ref().map_or(Ok(()), |asked| asked.rewrite(request))
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        if !end && is_too_slow(&passage.exchange, self.gate.settings.body_read_max) {
            return Err(passage.stop(Refusal::bad_request("the request's body did not arrive in time")));
        }
        let bound = self.gate.settings.body_bytes_max;
        if let Err(refusal) = passage.carried.forward(body, end, &mut passage.exchange.bytes_in, bound) {
            return Err(passage.stop(refusal));
        }
        if end && let Some(bounds) = passage.drain_bounds().filter(|_| !session.is_upgrade_req()) {
            head_time::drain_from_now_on(session, bounds, &self.drains);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Box<Passage>,
    ) -> Result<()> {
        let status = response.status.as_u16();
        if response.status.is_informational() && status != 101 {
            return Ok(());
        }
        if status == 101 && !session.is_upgrade_req() {
            // What the caller sends next would reach the provider as it is, gateway key and all.
            let outside = "the provider switched protocols without having been asked";
            return Err(passage.stop(Refusal::new(Kind::ProviderUnreachable, outside)));
        }
        let Ok(routed) = passage.routed() else { return Ok(()) };
        answer_head::blot_out(&routed.route.credential, response)?;
        let asked = passage.exchange.asked.as_ref();
        let model = asked.and_then(|asked| asked.model.as_deref());
        let prompt = match passage.carried.document() {
            Some(body) => Prompt::of_body(model.unwrap_or_default(), body),
            None => Prompt::of_size(passage.exchange.bytes_in),
        };
        let sent = Sent { prompt, characters: asked.and_then(|asked| asked.characters) };
        let (dialect, endpoint) = (routed.route.provider.dialect, routed.endpoint.as_deref());
        passage.exchange.answer = Some(Answer::begin(dialect, endpoint, status, &response.headers, sent));
        passage.exchange.status = status;
        if status != 101 {
            answer_head::strip_hop(response);
            answer_head::fit_framing(session, response);
        }
        if let Some(asked) = &mut passage.asked_usage {
            asked.begin_answer(response);
        }
        response.insert_header(REQUEST_ID, passage.exchange.arrival.id.as_str())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        passage: &mut Box<Passage>,
    ) -> Result<Option<Duration>> {
        let Some(answer) = &mut passage.exchange.answer else { return Ok(None) };
        if let Some(chunk) = body {
            answer.relayed(chunk);
        }
        if let Some(asked) = &mut passage.asked_usage {
            asked.edit(body, end, &mut answer.bytes_out);
        }
        let may_hold = end && answer.status != SWITCHED && !head_time::is_drained(session);
        if may_hold && let Some(hold) = passage.exchange.has_answer() {
            hold::hold_end(session, hold);
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        passage: &mut Box<Passage>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let route = passage.exchange.routed.as_ref().map(|routed| Arc::clone(&routed.route));
        let again = route
            .is_some_and(|route| passage.exchange.attempts.connect_failed(&route, self.gate.settings.attempts_max));
        error.set_retry(again);
        error
    }

    /// Sent once, never sent again unless the method says that twice is as good as once.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        passage: &mut Box<Passage>,
        reused: bool,
    ) -> Box<Error> {
        let again = session.req_header().method.is_idempotent()
            && session.response_written().is_none()
            && passage.refusal.is_none()
            && passage.carried.may_send_again(session);
        if again {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, passage: &mut Box<Passage>) -> FailToProxy {
        let begun = session.response_written().is_some_and(|response| !response.status.is_informational());
        match fault::what_happened(error, passage.refusal.take(), begun) {
            fault::Happened::Refuse(refusal) => {
                let error_code = refusal.kind.status();
                downstream::write_last(session, passage, refusal).await;
                FailToProxy { error_code, can_reuse_downstream: false }
            }
            fault::Happened::End(ending) => {
                passage.exchange.ending = ending;
                passage.exchange.inside = Some(error.etype().as_str().to_owned());
                FailToProxy { error_code: 0, can_reuse_downstream: false }
            }
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, passage: &mut Box<Passage>) {
        if head_time::was_drained(session, error.is_none()) && error.is_none() {
            passage.exchange.ending = Ending::CallerGone;
        }
        head_time::request_over(session);
        if error.is_none() && passage.exchange.ending == Ending::CutShort {
            passage.exchange.ending = Ending::Answered;
        }
    }

    /// The access log has the ending; Pingora's own line would show the target, and with it a key in a query.
    fn suppress_error_log(&self, _session: &Session, _passage: &Box<Passage>, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _passage: &Box<Passage>,
        _error: &Error,
        _context: pingora_proxy::ProxyWarnLogContext,
    ) -> bool {
        true
    }

    fn request_summary(&self, _session: &Session, passage: &Box<Passage>) -> String {
        passage.exchange.arrival.id.to_string()
    }
}

impl Gateway {
    /// Route, identify, read what names the model, admit.
    async fn admit(&self, session: &mut Session, passage: &mut Passage, target: Target) -> Result<(), Unread> {
        let from = caller_address(session);
        let head = session.req_header();
        let routed = self.gate.route(&head.method, target, &head.headers)?;
        passage.exchange.surface = Surface::Proxy;
        let identified = self.identify(session, passage, &routed, from).await;
        let routed = &*passage.exchange.routed.insert(routed);
        let identified = identified?;
        passage.exchange.caller = Some(Arc::clone(&identified.key));
        self.gate.check_head(routed, &identified.key, &session.req_header().headers)?;
        let bounds = self.gate.reads_bounds(routed, &identified.key);
        let (ask, bytes_in) = passage.carried.read(session, routed, &self.gate.settings, bounds).await?;
        passage.exchange.bytes_in = bytes_in;
        let asked = passage.exchange.asked.insert(asked(routed, ask));
        let mode = identified.key.usage_mode;
        let at = passage.exchange.arrival.time;
        passage.exchange.admission = Some(self.gate.admit(routed, identified, asked, at)?);
        if mode == UsageMode::Inject {
            passage.asked_usage = AskedUsage::ask(routed, &session.req_header().headers, &mut passage.carried);
        }
        if let Some(hold) = passage.exchange.goes_out() {
            hold::wait(hold).await;
        }
        Ok(())
    }

    async fn identify(
        &self,
        session: &Session,
        passage: &mut Passage,
        routed: &Routed,
        from: IpAddr,
    ) -> Result<Identified, Refusal> {
        let headers = &session.req_header().headers;
        let identified = self.gate.identify(routed, headers, from).await;
        match identified.as_ref().map_err(|refusal| refusal.kind) {
            Err(Kind::RateLimited) => passage.exchange.surface = Surface::Flood,
            Err(Kind::Unauthorized) => passage.exchange.caller = self.gate.holder(routed, headers),
            _ => {}
        }
        identified
    }
}

/// Whether a body that is passed on comes so slowly that it only holds its connections: it has the time of a body that is
/// read first, and more the more has come. After an answer has begun (a WebSocket above all) both sides take their time.
fn is_too_slow(exchange: &Exchange, body_read_max: Duration) -> bool {
    let time = body_read_max + Duration::from_secs(exchange.bytes_in / BODY_BYTES_PER_SECOND_MIN);
    exchange.answer.is_none() && clock::instant() - exchange.arrival.instant > time
}

pub(super) fn caller_address(session: &Session) -> IpAddr {
    session
        .client_addr()
        .and_then(|address| address.as_inet())
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), std::net::SocketAddr::ip)
}
