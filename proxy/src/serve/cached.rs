//! Answers to reads that may be given again: by client, operation, pool and input; equal requests at once are one.

use std::{sync::Arc, time::Duration};

use isobar_adapters::Job;
use moka::{Expiry, future::Cache};
use sha2::{Digest as _, Sha256};

use super::capability::Served;
use crate::edge::problem::Problem;

/// Bytes that all kept answers may have, as they would be written.
const MOST: u64 = 64 * 1024 * 1024;

/// What makes two requests equal.
pub(crate) type Key = [u8; 32];

/// Kept answers.
pub(crate) struct Answers(Cache<Key, Kept>);

/// One kept answer, and for how long.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) served: Arc<Served>,
    lives: Duration,
    weight: u32,
}

struct Lives;

impl Expiry<Key, Kept> for Lives {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: std::time::Instant) -> Option<Duration> {
        Some(kept.lives)
    }
}

impl Default for Answers {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST)
            .weigher(|_: &Key, kept: &Kept| kept.weight)
            .expire_after(Lives)
            .build();
        Self(cache)
    }
}

impl Answers {
    /// The kept answer, or what `serve` gives, which is kept; `true` when it was there or on its way already.
    pub(crate) async fn get(
        &self,
        key: Key,
        lives: Duration,
        serve: impl Future<Output = Result<Served, Problem>>,
    ) -> Result<(Arc<Served>, bool), Problem> {
        let mut own = false;
        let init = async {
            own = true;
            let served = serve.await?;
            // A batch that failed in part would keep its failures.
            let lives = if served.iter().all(Result::is_ok) {
                lives
            } else {
                Duration::ZERO
            };
            let bytes = served
                .iter()
                .flatten()
                .map(|answered| weight(&answered.output))
                .sum::<usize>();
            Ok(Kept {
                served: Arc::new(served),
                lives,
                weight: u32::try_from(bytes).unwrap_or(u32::MAX),
            })
        };
        let kept = self
            .0
            .try_get_with(key, init)
            .await
            .map_err(|problem: Arc<Problem>| (*problem).clone())?;
        Ok((kept.served, !own))
    }
}

fn weight(output: &isobar_adapters::Output) -> usize {
    let audio = match &output.content {
        isobar_adapters::Content::Speech(speech) => {
            usize::try_from(speech.audio.length()).unwrap_or(usize::MAX)
        }
        _ => 0,
    };
    serde_json::to_vec(output).map_or(0, |json| json.len()) + audio + 256
}

/// What makes two requests equal: who asks, for what, of whom, with which input.
pub(crate) fn key(client: &str, operation: &str, pool: &str, jobs: &[Job], extra: bool) -> Key {
    let mut hash = Sha256::new();
    for part in [client, operation, pool] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update([u8::from(extra)]);
    for job in jobs {
        let mut fields: Vec<_> = job.input.iter().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        let input = serde_json::to_vec(&fields).unwrap_or_default();
        hash.update((input.len() as u64).to_le_bytes());
        hash.update(&input);
        for (name, blob) in &job.blobs {
            hash.update(name);
            hash.update(blob.digest());
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_order_of_fields_makes_no_difference_and_their_values_do() {
        let key = |input: Value| {
            let job = Job {
                input: input.as_object().unwrap().clone(),
                blobs: Vec::new(),
            };
            key("client", "operation", "pool", &[job], false)
        };
        let one = key(json!({ "text": "good", "to": "fr" }));
        assert_eq!(one, key(json!({ "to": "fr", "text": "good" })));
        assert_ne!(one, key(json!({ "text": "good", "to": "de" })));
    }
}
