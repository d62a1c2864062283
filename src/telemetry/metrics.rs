//! Every metric of the program, in one list. Labels hold only values from small closed sets.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use std::sync::LazyLock;

/// The process' metrics.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

macro_rules! metrics {
    ($($kind:ident $field:ident $([$($label:literal),+])? = $name:literal, $help:literal;)*) => {
        /// One field a metric; the help text says what it counts.
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: metrics!(@type $kind),)*
        }

        impl Metrics {
            fn new() -> Self {
                let registry = Registry::new();
                $(let $field = metrics!(@make $kind $name $help [$($($label),+)?]);
                registry.register(Box::new($field.clone())).expect("metric registers once");)*
                Self { registry, $($field,)* }
            }
        }
    };
    (@type counter) => { IntCounter };
    (@type gauge) => { IntGauge };
    (@type counters) => { IntCounterVec };
    (@make counter $name:literal $help:literal []) => { IntCounter::new($name, $help).expect("a valid counter") };
    (@make gauge $name:literal $help:literal []) => { IntGauge::new($name, $help).expect("a valid gauge") };
    (@make counters $name:literal $help:literal [$($label:literal),+]) => {
        IntCounterVec::new(Opts::new($name, $help), &[$($label),+]).expect("a valid counter family")
    };
}

metrics! {
    // exchange
    counters exchanges_total ["provider", "status"] = "gateway_exchanges_total", "Exchanges by provider and status class.";
    gauge exchanges_open = "gateway_exchanges_open", "Exchanges that have not ended.";

    counters drains_total ["outcome"] = "gateway_drains_total", "Answers whose caller went away and that were to be drained: whole, ended by a bound, ended by the provider, refused because too many were being drained.";

    // auth
    counter key_lookups_total = "gateway_key_lookups_total", "Look-ups of a gateway key that the cache could not answer.";
    counter floods_refused_total = "gateway_floods_refused_total", "Requests refused because their address sent too many unknown keys.";
    counter key_store_failures_total = "gateway_key_store_failures_total", "Look-ups of a gateway key that the control store did not answer.";
    counter keys_stale_total = "gateway_keys_stale_total", "Requests that went on with an aged key while the control store was down.";

    // limits
    gauge permits = "gateway_permits", "Places among requests in flight that are taken, of keys and of organizations with limits.";
    counters limited_total ["limit"] = "gateway_limited_total", "Requests refused by a limit.";

    // budgets
    gauge budget_holds = "gateway_budget_holds", "Exchanges for which money is set aside in a budget.";
    counter budget_refused_total = "gateway_budget_refused_total", "Requests refused because a budget has no room for them.";
    counter budget_store_failures_total = "gateway_budget_store_failures_total", "Rounds in which what was spent could not be stored, or read, in the control store.";
    counter budget_alerts_total = "gateway_budget_alerts_total", "Alerts noted: a budget has come to a share of its limit.";
    counters budget_alerts_sent_total ["outcome"] = "gateway_budget_alerts_sent_total", "Alerts sent to the webhook: delivered, failed and tried again, or given up.";

    // metering and pricing
    counters answers_unreadable_total ["why"] = "gateway_answers_unreadable_total", "Answers that were not metered to their end: their content coding could not be undone, or they came faster than they could be read.";
    counter usage_figures_unknown_total = "gateway_usage_figures_unknown_total", "Answers that report a figure which no class takes into account: a provider may bill something new.";
    counter unpriced_total = "gateway_unpriced_total", "Exchanges with usage whose model has no price.";
    counter tags_dropped_total = "gateway_tags_dropped_total", "Attribution tags dropped because they exceed a bound.";

    // usage
    counter usage_events_total = "gateway_usage_events_total", "Usage events made, one an exchange.";
    counter usage_events_adopted_total = "gateway_usage_events_adopted_total", "Usage events of processes that have gone, found in their folders of the spool.";
    counter usage_events_spooled_total = "gateway_usage_events_spooled_total", "Usage events written to the spool's files.";
    counter usage_events_shipped_total = "gateway_usage_events_shipped_total", "Usage events in batches of which an insert was tried.";
    counter usage_events_quarantined_total = "gateway_usage_events_quarantined_total", "Usage events in batches that the store refused, kept for `usage quarantine retry`.";
    counter usage_events_forgotten_total = "gateway_usage_events_forgotten_total", "Exchanges of killed processes of which nothing was on the disk: counted, and nothing else is known.";
    counter usage_events_lost_total = "gateway_usage_events_lost_total", "Usage events lost: neither the disk nor memory took them, or they were damaged. Pages someone.";
    counter usage_events_stored_total = "gateway_usage_events_stored_total", "Usage events that ClickHouse acknowledged.";
    gauge usage_events_waiting = "gateway_usage_events_waiting", "Usage events not yet acknowledged by ClickHouse.";
    gauge usage_spool_bytes = "gateway_usage_spool_bytes", "Bytes of the usage spool that this process holds.";
    gauge usage_spool_alarm = "gateway_usage_spool_alarm", "How full the usage spool has become: 0, or the alarm level passed in hundredths of its bound (50, 80, 100).";
    counter usage_spool_failures_total = "gateway_usage_spool_failures_total", "Writes to the usage spool that failed; events are kept in memory then.";
    counter usage_ship_failures_total = "gateway_usage_ship_failures_total", "Tries to ship a batch of usage events that failed; most are tried again.";
}

impl Metrics {
    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text).is_err() {
            text.clear();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_renders() {
        METRICS.exchanges_total.with_label_values(&["openai", "2xx"]).inc();
        assert!(METRICS.render().contains("gateway_exchanges_total{provider=\"openai\",status=\"2xx\"}"));
    }
}
