//! What the exchanges of a span have cost, for budgets: every row of it, corrections included, test keys' left out.

use super::{
    Client,
    ask::{AskError, Bounds, Statement},
    settings::Settings,
};
use crate::{
    base::{clock::Timestamp, ids::OrganizationId, money::Money},
    budgets::{
        budget::Subject,
        port::{SpendingRecord, Untold},
    },
};
use async_trait::async_trait;
use std::sync::Arc;

/// Gives the usage store's client while it can be asked.
pub type ClientNow = Arc<dyn Fn() -> Option<Client> + Send + Sync>;

/// The usage store as the record of what was spent.
pub struct UsageRecord {
    client: ClientNow,
    settings: Settings,
}

#[derive(clickhouse::Row, serde::Deserialize)]
struct SumRow {
    cost_nanousd: i64,
}

impl UsageRecord {
    /// In the store that the settings name.
    pub fn new(client: ClientNow, settings: Settings) -> Self {
        Self { client, settings }
    }
}

#[async_trait]
impl SpendingRecord for UsageRecord {
    async fn spent(
        &self,
        of: &OrganizationId,
        subject: &Subject,
        span: (Timestamp, Timestamp),
    ) -> Result<Money, Untold> {
        let client = (self.client)().ok_or(Untold)?;
        let statement = statement(of, subject, span).map_err(|_| Untold)?;
        let rows = statement.fetch::<SumRow>(&client, &Bounds::of(&self.settings)).await.map_err(|_| Untold)?;
        Ok(rows.first().map_or(Money::ZERO, |row| Money::from_nanos(row.cost_nanousd)))
    }
}

fn statement(
    of: &OrganizationId,
    subject: &Subject,
    (since, until): (Timestamp, Timestamp),
) -> Result<Statement, AskError> {
    let mut statement = Statement::default();
    let mut conditions = vec![statement.organization(of)?];
    let (since, until) = (statement.moment("since", since), statement.moment("until", until));
    conditions.extend([format!("time >= {since}"), format!("time < {until}"), "environment != 'test'".to_owned()]);
    match subject {
        Subject::Organization => {}
        Subject::Key(id) => conditions.push(format!("key_id = {}", statement.text("key", id.as_str()))),
        Subject::Tag { name, value } => {
            let (name, value) = (statement.text("tag", name), statement.text("value", value));
            conditions.push(format!("tags[{name}] = {value}"));
        }
    }
    statement.sql =
        format!("SELECT sum(cost_nanousd) AS cost_nanousd FROM usage_events WHERE {}", conditions.join(" AND "));
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::KeyId;

    #[test]
    fn a_sum_is_bound_to_its_organization_and_subject() {
        let span = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        let tag = Subject::Tag { name: "project".into(), value: "' OR 1=1".into() };
        for (subject, says) in [
            (Subject::Organization, "test'"),
            (Subject::Key(KeyId::new("key_1")), "key_id = {key:String}"),
            (tag, "tags[{tag:String}] = {value:String}"),
        ] {
            let statement = statement(&OrganizationId::new("org_a"), &subject, span).unwrap();
            assert!(statement.sql.ends_with(says), "{}", statement.sql);
            assert!(statement.sql.contains("organization_id = {organization:String}"), "{}", statement.sql);
        }
        assert!(statement(&OrganizationId::new(""), &Subject::Organization, span).is_err());
    }
}
