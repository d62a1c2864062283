//! A request of this surface on its way from the connection to its handler: the exchange, which its handler goes on with and
//! settles, its body, and whether its caller is still there.

use crate::exchange::{exchange::Exchange, refusal::Refusal};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is given to the handler.
pub struct Given {
    pub exchange: Exchange,
    /// The body, or why it was not read.
    pub body: Result<Bytes, Refusal>,
    /// Says that the caller has left.
    pub left: CancellationToken,
}

/// What is given, until someone takes it.
#[derive(Clone)]
pub struct Handed(Arc<Mutex<Option<Given>>>);

impl Handed {
    /// Puts it there.
    pub fn new(given: Given) -> Self {
        Self(Arc::new(Mutex::new(Some(given))))
    }

    /// Takes it; `None` when someone has.
    pub fn take(&self) -> Option<Given> {
        self.0.lock().take()
    }
}
