//! What analysts see: statistics over HTTP, the schema, its views and queries, and other people's tools on the usage store. Rows of
//! the past are put into the store by hand. `GATEWAY_TEST_CLICKHOUSE_URL` names a ClickHouse server to use instead of the
//! embedded store, `GATEWAY_TEST_CLICKHOUSE_USER` and `GATEWAY_TEST_CLICKHOUSE_PASSWORD` how to log in.
#![cfg(test)]

pub mod answers;
pub mod ground;
pub mod isolation;
pub mod queries;
pub mod schema;
#[path = "../support/mod.rs"]
pub mod support;
pub mod tools;
pub mod turns;
