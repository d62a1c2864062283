//! Whose turn it is to ask the usage store: so many questions of one key at once, so many of all keys together. More of one key
//! are refused at once; more of all wait a little. Inserts are not counted: they always get through.

use super::{ask::AskError, settings::Settings};
use crate::base::{clock::Duration, ids::KeyId};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest wait for a place among all.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The places.
#[derive(Debug, Clone)]
pub struct Turns {
    all: Arc<Semaphore>,
    /// Questions under way; keys without any are not in it.
    by_key: Arc<Mutex<HashMap<KeyId, usize>>>,
    per_key_max: usize,
    wait_max: Duration,
}

/// A question's place. Dropping it gives it back, however the question ended.
#[must_use = "the place is given back when the turn is dropped"]
#[derive(Debug)]
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _key: KeyTurn,
}

#[derive(Debug)]
struct KeyTurn {
    by_key: Arc<Mutex<HashMap<KeyId, usize>>>,
    key: KeyId,
}

impl Turns {
    /// As many places as the settings say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            all: Arc::new(Semaphore::new(settings.queries_max)),
            by_key: Arc::default(),
            per_key_max: settings.queries_per_key_max,
            wait_max: WAIT_MAX,
        }
    }

    /// A place for a question of that key.
    ///
    /// # Errors
    /// The key has as many under way as it may, or all places stay taken.
    pub async fn take(&self, key: &KeyId) -> Result<Turn, AskError> {
        let key = self.enter(key)?;
        let place = tokio::time::timeout(self.wait_max, Arc::clone(&self.all).acquire_owned()).await;
        let Ok(Ok(all)) = place else { return Err(AskError::TooMany) };
        Ok(Turn { _all: all, _key: key })
    }

    fn enter(&self, key: &KeyId) -> Result<KeyTurn, AskError> {
        let mut by_key = self.by_key.lock();
        let under_way = by_key.entry(key.clone()).or_default();
        if *under_way >= self.per_key_max {
            return Err(AskError::TooManyByKey);
        }
        *under_way += 1;
        Ok(KeyTurn { by_key: Arc::clone(&self.by_key), key: key.clone() })
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        let mut by_key = self.by_key.lock();
        if let Some(under_way) = by_key.get_mut(&self.key) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::settings::sample;

    fn turns(per_key_max: usize, all: usize) -> Turns {
        Turns::new(&Settings { queries_per_key_max: per_key_max, queries_max: all, ..sample() })
    }

    #[tokio::test]
    async fn a_key_at_its_bound_is_refused_and_no_other() {
        let (turns, one, other) = (turns(2, 10), KeyId::new("a"), KeyId::new("b"));
        let first = turns.take(&one).await.unwrap();
        let second = turns.take(&one).await.unwrap();
        assert_eq!(turns.take(&one).await.unwrap_err(), AskError::TooManyByKey);
        let third = turns.take(&other).await.unwrap();
        drop(first);
        let fourth = turns.take(&one).await.unwrap();
        drop((second, third, fourth));
        assert!(turns.by_key.lock().is_empty(), "nothing is kept of keys that ask nothing");
    }

    #[tokio::test]
    async fn a_question_waits_a_little_for_a_place_among_all() {
        let (turns, one, other) = (turns(2, 1), KeyId::new("a"), KeyId::new("b"));
        let held = turns.take(&one).await.unwrap();
        let hasty = Turns { wait_max: Duration::from_millis(1), ..turns.clone() };
        assert_eq!(hasty.take(&other).await.unwrap_err(), AskError::TooMany);
        let (taken, ()) = tokio::join!(turns.take(&other), async { drop(held) });
        assert!(taken.is_ok());
        drop(taken);
        assert!(turns.by_key.lock().is_empty(), "a wait in vain gives its place back");
    }
}
