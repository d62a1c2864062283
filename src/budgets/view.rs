//! A budget as others may see it: the JSON of `GET /gw/budget` and of the commands.

use super::{
    account::Standing,
    budget::{Budget, Enforcement, Subject},
    calendar::{Span, Window},
};
use crate::base::clock::Timestamp;
use serde::Serialize;

/// One budget and how it stands. Amounts are decimal strings in US dollars.
#[derive(Debug, Serialize)]
pub struct BudgetView {
    id: String,
    subject: SubjectView,
    window: Window,
    enforcement: Enforcement,
    limit: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    standing: Option<StandingView>,
}

/// Whose spending it bounds.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum SubjectView {
    Organization,
    Key { key_id: String },
    Tag { name: String, value: String },
}

#[derive(Debug, Serialize)]
struct StandingView {
    spent: String,
    reserved: String,
    starts_at: Option<String>,
    resets_at: Option<String>,
}

/// A budget as it is defined.
pub fn budget(budget: &Budget) -> BudgetView {
    let subject = match &budget.subject {
        Subject::Organization => SubjectView::Organization,
        Subject::Key(id) => SubjectView::Key { key_id: id.to_string() },
        Subject::Tag { name, value } => SubjectView::Tag { name: name.clone(), value: value.clone() },
    };
    BudgetView {
        id: budget.id.to_string(),
        subject,
        window: budget.window,
        enforcement: budget.enforcement,
        limit: budget.limit.to_string(),
        standing: None,
    }
}

/// A budget and how it stands in a window.
pub fn standing(of: &Budget, standing: Standing, span: Span) -> BudgetView {
    let ends_at = span.ends_at();
    let standing = StandingView {
        spent: standing.spent.to_string(),
        reserved: standing.held.to_string(),
        starts_at: ends_at.map(|_| span.start.to_rfc3339()),
        resets_at: ends_at.map(Timestamp::to_rfc3339),
    };
    BudgetView { standing: Some(standing), ..budget(of) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{
        ids::{BudgetId, KeyId, OrganizationId},
        money::Money,
    };
    use serde_json::json;

    #[test]
    fn a_budget_shows_the_members_of_the_contract() {
        let mut of = Budget {
            id: BudgetId::new("bud_1"),
            organization_id: OrganizationId::new("org_a"),
            subject: Subject::Tag { name: "project".into(), value: "x".into() },
            window: Window::Day,
            limit: Money::from_nanos(12_500_000_000),
            enforcement: Enforcement::On,
        };
        let now =
            Standing { spent: Money::from_nanos(1), held: Money::from_nanos(2_000_000_000), ..Standing::default() };
        let day = Span { start: Timestamp::from_millis(0), end: Timestamp::from_millis(86_400_000) };
        assert_eq!(
            serde_json::to_value(standing(&of, now, day)).unwrap(),
            json!({
                "id": "bud_1",
                "subject": {"type": "tag", "name": "project", "value": "x"},
                "window": "day",
                "enforcement": "on",
                "limit": "12.5",
                "spent": "0.000000001",
                "reserved": "2",
                "starts_at": "1970-01-01T00:00:00.000Z",
                "resets_at": "1970-01-02T00:00:00.000Z",
            })
        );
        (of.subject, of.window) = (Subject::Key(KeyId::new("key_1")), Window::Total);
        let total = serde_json::to_value(standing(&of, now, Span::ALL)).unwrap();
        assert_eq!((&total["subject"]["key_id"], &total["resets_at"]), (&json!("key_1"), &json!(null)));
        of.subject = Subject::Organization;
        assert_eq!(serde_json::to_value(budget(&of)).unwrap()["subject"], json!({"type": "organization"}));
    }
}
