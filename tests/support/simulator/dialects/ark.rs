//! BytePlus ModelArk: the `openai` chat under `/api/v3`, with errors of its own.

use super::super::reply::Reply;
use super::{Asked, openai};

/// The answer; `None` when there is no such endpoint.
pub(super) fn answer(asked: &Asked<'_>) -> Option<Reply> {
    let rest = asked.request.path().strip_prefix("/api/v3")?;
    openai::answer(asked, &format!("/v1{rest}"))
}

/// Ark's error answers.
pub(super) fn error(status: u16) -> Reply {
    let (code, kind) = match status {
        400 => ("InvalidParameter", "BadRequest"),
        401 => ("AuthenticationError", "Unauthorized"),
        403 => ("AccountOverdueError", "Forbidden"),
        404 => ("ModelNotOpen", "NotFound"),
        429 => ("RateLimitExceeded.EndpointTPMExceeded", "TooManyRequests"),
        _ => ("InternalServiceError", "InternalServerError"),
    };
    Reply::json(
        status,
        format!(r#"{{"error":{{"code":"{code}","message":"The request failed.","param":"","type":"{kind}"}}}}"#),
    )
    .with_header("x-request-id", "0217sim")
}
