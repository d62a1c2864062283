//! The control store behind the domain's ports: SQLite.

pub mod settings;
