//! Words that every other module shares. Imports nothing of ours.

pub mod clock;
pub mod ids;
pub mod money;
pub mod secret;
pub mod tasks;
