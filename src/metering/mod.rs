//! What was used: meters read a provider's answer beside the relay and give a reading.

pub mod reading;
