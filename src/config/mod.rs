//! From files to checked settings, with every fault at its line.

pub mod settings;
