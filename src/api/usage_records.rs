//! `GET /gw/usage` and `GET /gw/usage/{request_id}`: single records of the caller's own organization.

use super::{
    Parts,
    answer::{Answer, caller_with, unanswered},
};
use crate::{
    auth::key::Scope,
    base::{clock, ids::RequestId},
    exchange::refusal::{Kind, Refusal},
    proxy::own::Asker,
    usage::records::{self, RecordsQuery},
};
use axum::{
    Extension,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
};

pub(super) async fn page(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let key = caller_with(&parts.keyring, &headers, asker, Scope::StatsRead).await?;
        let query = query.unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let query = RecordsQuery::parse(&pairs, &key.organization_id, clock::now(), &parts.usage)
            .map_err(|bad| Refusal::bad_request(bad.to_string()))?;
        let client = (parts.store)().map_err(Refusal::unavailable)?;
        let _turn = parts.turns.take(&key.id).await.map_err(unanswered)?;
        Ok(Answer::json(&query.run(&client).await.map_err(unanswered)?))
    };
    answer.await.unwrap_or_else(|refusal| Answer::refused(asker, &refusal))
}

pub(super) async fn one(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let key = caller_with(&parts.keyring, &headers, asker, Scope::StatsRead).await?;
        // The same words for what is no id, what nobody has and what another organization has.
        let unknown = || Refusal::new(Kind::NotFound, "there is no usage record of this request id");
        let Path(request_id) = path.map_err(|_| unknown())?;
        let request_id = RequestId::parse(&request_id).ok_or_else(unknown)?;
        let client = (parts.store)().map_err(Refusal::unavailable)?;
        let _turn = parts.turns.take(&key.id).await.map_err(unanswered)?;
        let found = records::find(&client, &parts.usage, &key.organization_id, request_id).await.map_err(unanswered)?;
        found.as_ref().map(Answer::json).ok_or_else(unknown)
    };
    answer.await.unwrap_or_else(|refusal| Answer::refused(asker, &refusal))
}
