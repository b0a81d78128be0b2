//! What the end of a run has to leave in the store and could not: written as soon as the store can be used again. It is
//! kept in memory alone; after a restart what such effects look like decides, and they are taken back or looked at.

use isobar_compositions::journal::{Entry, State};

use super::{Kept, Store, StoreError};

/// Most that is remembered: a store that cannot be used takes no new runs, so there are as many as were under way.
const MOST: usize = 1024;

/// One thing that is to be written. Written twice, it says the same.
#[derive(Debug, Clone)]
pub(crate) enum Owed {
    /// Nothing is left to do about an effect.
    Closed(Entry),
    /// A person must look at an effect.
    Review(Entry, String),
    /// A run's open effects are recovery's.
    Released(String),
    /// The answer for a key.
    Answer(Key, Kept),
    /// A key is free again.
    Free(Key),
}

/// A client's key, within the scope of its client and composition.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) scope: String,
    pub(crate) key: String,
}

impl Store {
    /// Writes it now or, where that fails, later.
    pub(crate) async fn leave(&self, owed: Owed) -> Result<(), StoreError> {
        let written = self.write(&owed).await;
        if let Err(error) = &written {
            self.tell(error);
            let mut all = self.owed.lock();
            if all.len() < MOST {
                all.push_back(owed);
            }
        }
        written
    }

    /// Writes what could not be written before, in its order and as far as it can be now.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            let Some(owed) = self.owed.lock().pop_front() else {
                return Ok(());
            };
            if let Err(error) = self.write(&owed).await {
                self.owed.lock().push_front(owed);
                return Err(error);
            }
        }
    }

    async fn write(&self, owed: &Owed) -> Result<(), StoreError> {
        match owed {
            Owed::Closed(entry) => self.close(entry).await,
            Owed::Review(entry, why) => self.mark(entry, &State::NeedsReview(why.clone())).await,
            Owed::Released(run) => self.release(run).await,
            Owed::Answer(key, kept) => self.keep_answer(&key.scope, &key.key, kept).await,
            Owed::Free(key) => self.forget_answer(&key.scope, &key.key).await,
        }
    }
}
