//! Providers are data: where they are, how they authenticate, what their endpoints are called. Code knows dialects.

pub mod addresses;
pub mod dialect;
pub mod provider;
