//! What operators see: metric names, log set-up, access log lines. No secret, prompt or tag value in any of them.

mod lines;
pub mod logs;
pub mod metrics;
pub mod settings;
