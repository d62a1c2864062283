//! Where the control store is.

use std::path::PathBuf;

/// The control store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The SQLite file; made when it is missing.
    pub sqlite: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sqlite: PathBuf::from("data/control.sqlite") }
    }
}
