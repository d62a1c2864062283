//! What is logged, and where to.

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A `tracing` filter, such as `info` or `info,sociaro_gateway=debug`.
    pub level: String,
    /// One JSON line for each request.
    pub access: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { level: "info".to_owned(), access: true }
    }
}
