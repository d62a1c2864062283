//! Which address the next try goes to.

use super::{
    refusal::{Kind, Refusal},
    route::Route,
};
use std::net::SocketAddr;

/// The tries of one exchange.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attempts {
    /// Tries at providers before this one.
    before: u8,
    /// Tries at this provider.
    count: u8,
    /// Where among the provider's addresses this exchange began.
    start: usize,
    address: Option<SocketAddr>,
}

impl Attempts {
    /// How many tries were made.
    pub fn count(&self) -> u8 {
        self.before.saturating_add(self.count)
    }

    /// Begins anew with another provider.
    pub fn turn_to_another(&mut self) {
        *self = Self { before: self.count(), ..Self::default() };
    }

    /// Takes the next address.
    ///
    /// # Errors
    /// 502 when the provider's host has no known address.
    pub fn choose(&mut self, route: &Route) -> Result<SocketAddr, Refusal> {
        if self.count == 0 {
            self.start = route.addresses.start();
        }
        let address = route.addresses.pick(self.start, usize::from(self.count)).ok_or_else(|| {
            Refusal::new(Kind::ProviderUnreachable, "the provider cannot be reached")
                .with_inside("its host name has no known address")
        })?;
        self.count = self.count.saturating_add(1);
        self.address = Some(address);
        Ok(address)
    }

    /// Notes that connecting to the last address failed; true when another try may be made. Nothing was sent, so
    /// nothing can be executed twice.
    pub fn connect_failed(&mut self, route: &Route, attempts_max: u8) -> bool {
        if let Some(address) = self.address {
            route.addresses.failed(address);
        }
        self.count < attempts_max
    }
}
