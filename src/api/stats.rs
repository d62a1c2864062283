//! `GET /gw/stats`: sums over the caller's own organization.

use super::{
    Parts,
    answer::{Answer, caller_with, unanswered},
};
use crate::{
    auth::key::Scope,
    base::clock,
    exchange::refusal::Refusal,
    proxy::own::Asker,
    usage::stats::{Format, StatsQuery},
};
use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
};

pub(super) async fn stats(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    match answer(&parts, asker, query.as_deref().unwrap_or_default(), &headers).await {
        Ok(answer) => answer,
        Err(refusal) => Answer::refused(asker, &refusal),
    }
}

async fn answer(parts: &Parts, asker: Asker, query: &str, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let key = caller_with(&parts.keyring, headers, asker, Scope::StatsRead).await?;
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let query =
        StatsQuery::parse(&pairs, clock::now(), &parts.usage).map_err(|bad| Refusal::bad_request(bad.to_string()))?;
    let format = query.format();
    let client = (parts.store)().map_err(Refusal::unavailable)?;
    let _turn = parts.turns.take(&key.id).await.map_err(unanswered)?;
    let found = query.run(&client, &key.organization_id).await.map_err(unanswered)?;
    Ok(match format {
        Format::Json => Answer::json(&found),
        Format::Csv => Answer::bytes("text/csv; charset=utf-8", found.to_csv().into_bytes()),
    })
}
