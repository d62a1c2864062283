//! Masking: what is found, what is left alone, what comes back.
#![cfg(test)]

mod command;
mod corpus;
mod custom;
mod hostile;
mod pieces;
mod rehydration;
mod round_trip;

use sociaro_gateway::masking::Detector;
use std::sync::LazyLock;

/// The shared rules, built once for all tests.
static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().unwrap());
