//! Budgets that have come to a share of their limit: noted once for each window and share, whoever sees it first, and then
//! delivered until somebody takes it.

use super::{
    account::{Cell, Standing},
    budget::Budget,
    port::{AlertReceiver, BudgetStore},
    view,
};
use crate::{
    auth::port::StoreDown,
    base::{
        clock::{self, Timestamp},
        ids::{BudgetId, OrganizationId},
        money::Money,
    },
    telemetry::metrics::METRICS,
};
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;

/// Shares of a limit that may be told, at most.
pub const SHARES_MAX: usize = 16;
/// How often an alert is sent before it is given up: for about a day.
const TRIES_MAX: u32 = 30;
/// Alerts that are sent one after the other, while they belong to this process.
const SENT_AT_ONCE: u32 = 4;
const FIRST_PAUSE_MS: i64 = 2_000;
const PAUSE_MAX_MS: i64 = 3_600_000;

/// A budget has come to a share of its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub budget_id: BudgetId,
    pub window_start: Timestamp,
    /// In hundredths of the limit.
    pub share: u16,
    pub organization_id: OrganizationId,
    pub at: Timestamp,
    /// The JSON document that is delivered.
    pub document: String,
    /// How often it was sent in vain.
    pub tries: u32,
}

impl Alert {
    /// The same for each delivery of it, so that a receiver can tell a repetition.
    pub fn id(&self) -> String {
        format!("{}-{}-{}", self.budget_id, self.window_start.millis(), self.share)
    }

    /// When it is sent again after it was sent in vain at that time; `None` when that was the last time.
    pub fn next_try(&self, now: Timestamp) -> Option<Timestamp> {
        if self.tries.saturating_add(1) >= TRIES_MAX {
            return None;
        }
        let pause = FIRST_PAUSE_MS.saturating_mul(1_i64.checked_shl(self.tries.min(32)).unwrap_or(i64::MAX));
        Some(now.plus_millis(pause.min(PAUSE_MAX_MS)))
    }
}

/// Sends the alerts that are due, each once.
///
/// # Errors
/// The control store does not answer: what was sent may be sent again.
pub async fn send_due(store: &dyn BudgetStore, receiver: &dyn AlertReceiver) -> Result<(), StoreDown> {
    for alert in store.alerts_due(clock::now(), SENT_AT_ONCE).await? {
        let (outcome, again_at) = match receiver.deliver(&alert, clock::now()).await {
            Ok(()) => ("delivered", None),
            Err(reason) => {
                let again_at = alert.next_try(clock::now());
                tracing::warn!(alert = alert.id(), reason, tries = alert.tries, "an alert was not taken");
                (if again_at.is_some() { "failed" } else { "given_up" }, again_at)
            }
        };
        METRICS.budget_alerts_sent_total.with_label_values(&[outcome]).inc();
        store.alert_sent(&alert, again_at).await?;
    }
    Ok(())
}

/// The alerts that a budget's standing calls for and that this process has not noted yet.
pub(super) fn due(shares: &[u16], budget: &Budget, cell: &Cell, now: Timestamp) -> Vec<Alert> {
    let noted = cell.saved.alerts.load(Relaxed);
    let standing = cell.standing();
    let reached = |share: u16| {
        let (spent, limit) = (i128::from(standing.spent.nanos()), i128::from(budget.limit.nanos()));
        budget.limit > Money::ZERO && spent * 100 >= limit * i128::from(share)
    };
    let shares = shares.iter().take(SHARES_MAX).enumerate();
    shares
        .filter(|(at, share)| noted & (1 << at) == 0 && reached(**share))
        .map(|(_, share)| alert(*share, budget, (cell, standing), now))
        .collect()
}

/// Remembers that these shares need not be looked at again in this window.
pub(super) fn noted(shares: &[u16], cell: &Cell, alerts: &[Alert]) {
    let is_noted = |share: &u16| alerts.iter().any(|alert| alert.share == *share);
    let places = shares.iter().take(SHARES_MAX).enumerate().filter(|(_, share)| is_noted(share));
    let bits = places.fold(0, |bits, (at, _)| bits | 1 << at);
    cell.saved.alerts.fetch_or(bits, Relaxed);
}

fn alert(share: u16, budget: &Budget, (cell, standing): (&Cell, Standing), now: Timestamp) -> Alert {
    let mut alert = Alert {
        budget_id: budget.id.clone(),
        window_start: cell.span.start,
        share,
        organization_id: budget.organization_id.clone(),
        at: now,
        document: String::new(),
        tries: 0,
    };
    let document = json!({
        "id": alert.id(),
        "type": "budget.alert",
        "time": now.to_rfc3339(),
        "organization_id": budget.organization_id.as_str(),
        "share_percent": share,
        "budget": view::standing(budget, standing, cell.span),
    });
    alert.document = document.to_string();
    alert
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::{
        budget::{Enforcement, Subject},
        calendar::{Span, Window},
    };
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_123);

    fn budget(limit: i64) -> Budget {
        Budget {
            id: BudgetId::new("bud_1"),
            organization_id: OrganizationId::new("org_a"),
            subject: Subject::Organization,
            window: Window::Total,
            limit: Money::from_nanos(limit),
            enforcement: Enforcement::Off,
        }
    }

    #[test]
    fn each_share_is_due_once_it_is_reached_and_until_it_is_noted() {
        let (shares, budget, cell) = ([50, 80, 100], budget(1_000), Arc::new(Cell::new(Span::ALL)));
        let now_due = |cell: &Cell| due(&shares, &budget, cell, NOW).iter().map(|one| one.share).collect::<Vec<_>>();
        cell.hold_anyway(Money::from_nanos(0)).settle(Money::from_nanos(499));
        assert_eq!(now_due(&cell), Vec::<u16>::new());
        cell.hold_anyway(Money::from_nanos(0)).settle(Money::from_nanos(301));
        assert_eq!(now_due(&cell), [50, 80]);
        noted(&shares, &cell, &due(&shares, &budget, &cell, NOW)[..1]);
        assert_eq!(now_due(&cell), [80]);
        cell.hold_anyway(Money::from_nanos(0)).settle(Money::from_nanos(i64::MAX / 4));
        assert_eq!(now_due(&cell), [80, 100]);
        noted(&shares, &cell, &due(&shares, &budget, &cell, NOW));
        assert_eq!(now_due(&cell), Vec::<u16>::new());
        let nothing = Budget { limit: Money::ZERO, ..budget.clone() };
        assert_eq!(due(&shares, &nothing, &Cell::new(Span::ALL), NOW), []);
    }

    #[test]
    fn a_document_tells_what_has_happened() {
        let cell = Arc::new(Cell::new(Span::ALL));
        cell.hold_anyway(Money::ZERO).settle(Money::from_nanos(900_000_000));
        let alert = due(&[80], &budget(1_000_000_000), &cell, NOW).remove(0);
        let document: serde_json::Value = serde_json::from_str(&alert.document).unwrap();
        assert_eq!(document["id"], "bud_1-0-80");
        assert_eq!(
            (&document["share_percent"], &document["budget"]["spent"], &document["budget"]["limit"]),
            (&json!(80), &json!("0.9"), &json!("1"))
        );
    }

    #[test]
    fn pauses_grow_to_an_hour_and_end_after_a_day() {
        let cell = Arc::new(Cell::new(Span::ALL));
        cell.hold_anyway(Money::ZERO).settle(Money::from_nanos(1_000));
        let mut alert = due(&[80], &budget(1_000), &cell, NOW).remove(0);
        let (mut now, mut pauses) = (NOW, Vec::new());
        while let Some(next) = alert.next_try(now) {
            pauses.push((next.millis() - now.millis()) / 1000);
            (now, alert.tries) = (next, alert.tries + 1);
        }
        assert_eq!((&pauses[..4], pauses.last(), pauses.len()), (&[2, 4, 8, 16][..], Some(&3600), 29));
        assert!((16..30).contains(&((now.millis() - NOW.millis()) / 3_600_000)));
    }
}
