//! What one exchange cost, and by which price.

use crate::base::money::Money;

/// The cost of one exchange. Without a price: zero, an empty version and no breakdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charge {
    pub cost: Money,
    /// The price row's version; empty when the model has no price.
    pub price_version: String,
    /// Cost per class, in the order of the classes; only classes that were used.
    pub breakdown: Vec<(&'static str, Money)>,
}
