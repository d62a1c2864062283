//! `GET /gw/budget`: the caller's organization's budgets and how they stand.

use super::{
    Parts,
    answer::{Answer, caller_with},
};
use crate::{auth::key::Scope, base::clock, budgets::view, proxy::own::Asker};
use axum::{Extension, extract::State, http::HeaderMap};

pub(super) async fn budgets(
    State(parts): State<Parts>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
) -> Answer {
    let key = match caller_with(&parts.keyring, &headers, asker, Scope::StatsRead).await {
        Ok(key) => key,
        Err(refusal) => return Answer::refused(asker, &refusal),
    };
    let now = clock::now();
    let budgets = parts.budgets.accounts(Some(&key.organization_id)).into_iter().map(|account| {
        let cell = parts.budgets.cell(&account, now);
        view::standing(&account.budget, cell.standing(), cell.span)
    });
    Answer::json(&serde_json::json!({"currency": "USD", "budgets": budgets.collect::<Vec<_>>()}))
}
