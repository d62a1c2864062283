//! The usage pipeline against the real engine: events in, exactly once, and statistics out.
//! Needs the engine's library (`make setup`), or a ClickHouse server of your own in `GATEWAY_TEST_CLICKHOUSE_URL`,
//! with `GATEWAY_TEST_CLICKHOUSE_USER` and `GATEWAY_TEST_CLICKHOUSE_PASSWORD`.
#![cfg(test)]

mod corrections;
mod oracle;
mod row;
mod shards;
mod stats;
mod storing;
mod support;
