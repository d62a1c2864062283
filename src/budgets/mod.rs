//! How much may be spent: money set aside before a request is forwarded, and settled when it has ended, so that parallel
//! requests cannot overshoot. Leaves out what a request may cost (`pricing`) and where it is stored (a port).

pub mod account;
pub mod alerts;
pub mod budget;
pub mod calendar;
pub mod keeper;
pub mod ledger;
pub mod port;
pub mod settings;
pub mod view;
