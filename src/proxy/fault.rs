//! From Pingora's errors to what we say and record.

use crate::exchange::{
    exchange::Ending,
    refusal::{Kind, Refusal},
};
use pingora_error::{Error, ErrorSource, ErrorType};

/// What an error means for the exchange.
pub(super) enum Happened {
    /// Nothing was answered yet: answer with this.
    Refuse(Refusal),
    /// Nothing can be answered any more.
    End(Ending),
}

/// `own` is the refusal that one of our hooks made, if any; `begun` says that the provider's answer has begun.
pub(super) fn what_happened(error: &Error, own: Option<Refusal>, begun: bool) -> Happened {
    let from_caller = *error.esource() == ErrorSource::Downstream;
    if begun {
        return Happened::End(if from_caller { Ending::CallerGone } else { Ending::ProviderCut });
    }
    if let Some(refusal) = own {
        return Happened::Refuse(refusal);
    }
    let inside = format!("{} ({})", error.etype().as_str(), error.esource().as_str());
    if from_caller {
        return match error.etype() {
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError | ErrorType::WriteTimedout => {
                Happened::End(Ending::CallerGone)
            }
            ErrorType::ReadTimedout => {
                Happened::Refuse(Refusal::bad_request("the request's body did not arrive in time").with_inside(inside))
            }
            _ => Happened::Refuse(Refusal::bad_request("the request's body is malformed").with_inside(inside)),
        };
    }
    let refusal = match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ErrorType::ReadTimedout) => {
            Refusal::new(Kind::ProviderTimeout, "the provider did not begin its answer in time")
        }
        (ErrorSource::Upstream, _) => Refusal::new(Kind::ProviderUnreachable, "the provider cannot be reached"),
        _ => Refusal::internal(inside.clone()),
    };
    Happened::Refuse(refusal.with_inside(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: &Error) -> Result<Kind, Ending> {
        match what_happened(error, None, false) {
            Happened::Refuse(refusal) => Ok(refusal.kind),
            Happened::End(ending) => Err(ending),
        }
    }

    #[test]
    fn each_failure_before_an_answer_has_its_status() {
        let up = |kind| Error::new_up(kind);
        let down = |kind| Error::new_down(kind);
        assert_eq!(kind(&up(ErrorType::ConnectRefused)), Ok(Kind::ProviderUnreachable));
        assert_eq!(kind(&up(ErrorType::ConnectTimedout)), Ok(Kind::ProviderUnreachable));
        assert_eq!(kind(&up(ErrorType::TLSHandshakeFailure)), Ok(Kind::ProviderUnreachable));
        assert_eq!(kind(&up(ErrorType::InvalidHTTPHeader)), Ok(Kind::ProviderUnreachable));
        assert_eq!(kind(&up(ErrorType::ReadTimedout)), Ok(Kind::ProviderTimeout));
        assert_eq!(kind(&down(ErrorType::InvalidHTTPHeader)), Ok(Kind::BadRequest));
        assert_eq!(kind(&down(ErrorType::ReadTimedout)), Ok(Kind::BadRequest));
        assert_eq!(kind(&down(ErrorType::ConnectionClosed)), Err(Ending::CallerGone));
        assert_eq!(kind(&Error::new_in(ErrorType::InternalError)), Ok(Kind::Internal));
    }

    #[test]
    fn after_an_answer_has_begun_nothing_is_written() {
        for (error, ending) in [
            (Error::new_up(ErrorType::ReadError), Ending::ProviderCut),
            (Error::new_down(ErrorType::WriteError), Ending::CallerGone),
        ] {
            assert!(matches!(what_happened(&error, None, true), Happened::End(found) if found == ending));
        }
    }
}
