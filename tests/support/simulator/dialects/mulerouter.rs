//! MuleRouter: the `openai` chat and models under `/vendors/openai`.

use super::super::reply::Reply;
use super::{Asked, openai};

/// The answer; `None` when there is no such endpoint.
pub(super) fn answer(asked: &Asked<'_>) -> Option<Reply> {
    let rest = asked.request.path().strip_prefix("/vendors/openai")?;
    openai::answer(asked, rest)
}
