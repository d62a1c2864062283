//! Sociaro Gateway: one entry point to many AI providers.
//!
//! The folder list is the architecture, in reading order from the bottom up; a module names only
//! what stands above it in this list (`tests/tidy.rs` checks it). ARCHITECTURE.md is the map.

pub mod base;

pub mod telemetry;

pub mod auth;
pub mod budgets;
pub mod limits;
pub mod masking;
pub mod metering;
pub mod pricing;

pub mod notify;
pub mod providers;
pub mod store;
pub mod usage;

pub mod exchange;

pub mod prompt;

pub mod api;
pub mod proxy;

pub mod config;

pub mod app;
pub mod cli;
