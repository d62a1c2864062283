//! What was used: meters read a provider's answer beside the relay and give a reading.

pub mod answer;
pub mod beside;
pub mod decode;
pub mod format;
pub mod frames;
pub mod json;
pub mod meter;
mod parts;
pub mod prompt;
pub mod reading;
pub mod sse;
pub mod text;
pub mod tokenizer;
mod window;
