//! The control store behind the domain's ports: SQLite.

mod rows;
pub mod settings;
pub mod sqlite;
