//! Effects of runs, for taking them back.

use async_trait::async_trait;
use isobar_compositions::{
    journal::{Entry, Journal, JournalError, Open, State, UndoCall},
    run::pause,
};
use serde::Serialize;
use sqlx::Row as _;

use super::{Owed, Store, StoreError, now};

/// What a row's state is, as JSON.
fn text(state: &State) -> String {
    serde_json::to_string(state).unwrap_or_default()
}

/// Whether it is time to try again; a clock that was put back makes nothing wait.
fn is_due(open: &Open, changed: i64) -> bool {
    let since = u64::try_from(now() - changed);
    !since.is_ok_and(|since| since < pause(open.tries).as_secs())
}

impl Store {
    /// Takes what no process is busy with, or this one's recovery: effects of processes that have left, and those whose undo
    /// is pending. Others that share the store leave these alone from now on. Those that are to wait are left out.
    pub(crate) async fn open_effects(&self) -> Result<Vec<Open>, StoreError> {
        let owners = sqlx::query("SELECT DISTINCT owner FROM effects")
            .fetch_all(&self.pool)
            .await?;
        let taken = self.owner.taken();
        for row in owners {
            let owner: String = row.try_get("owner")?;
            if owner != taken && !self.owner.is_busy(&owner) {
                sqlx::query("UPDATE effects SET owner = ?1 WHERE owner = ?2")
                    .bind(&taken)
                    .bind(&owner)
                    .execute(&self.pool)
                    .await?;
            }
        }
        let rows = sqlx::query(
            "SELECT run, number, composition, step, state, tries, changed FROM effects \
             WHERE owner = ?1 ORDER BY run, number DESC",
        )
        .bind(&taken)
        .fetch_all(&self.pool)
        .await?;
        let open = rows.into_iter().map(|row| {
            let state: String = row.try_get("state")?;
            let number: i64 = row.try_get("number")?;
            let tries: i64 = row.try_get("tries")?;
            let open = Open {
                entry: Entry {
                    run: row.try_get("run")?,
                    number: u32::try_from(number).unwrap_or(u32::MAX),
                    composition: row.try_get("composition")?,
                    step: row.try_get("step")?,
                },
                // A state that nobody can read is nothing to act on.
                state: serde_json::from_str(&state)
                    .unwrap_or_else(|_| State::NeedsReview("its record cannot be read".to_owned())),
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
            };
            let is_due = is_due(&open, row.try_get("changed")?);
            Ok(is_due.then_some(open))
        });
        let open: Vec<Option<Open>> = open.collect::<Result<_, sqlx::Error>>()?;
        Ok(open.into_iter().flatten().collect())
    }

    /// Hands a run's open effects over to recovery: the run itself is over.
    pub(crate) async fn release(&self, run: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE effects SET owner = '' WHERE run = ?1")
            .bind(run)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How many effects wait to be taken back, and how many need a person.
    pub(crate) async fn count_effects(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS all_of_them, \
             SUM(CASE WHEN state LIKE '{\"needs_review\"%' THEN 1 ELSE 0 END) AS review FROM effects",
        )
        .fetch_one(&self.pool)
        .await?;
        let all: i64 = row.try_get("all_of_them")?;
        let review: Option<i64> = row.try_get("review")?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let review = count(review.unwrap_or_default());
        Ok((count(all).saturating_sub(review), review))
    }

    /// Says what an effect is now.
    pub(super) async fn mark(&self, entry: &Entry, state: &State) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE effects SET state = ?3, changed = ?4 WHERE run = ?1 AND number = ?2",
        )
        .bind(&entry.run)
        .bind(i64::from(entry.number))
        .bind(text(state))
        .bind(now())
        .execute(&self.pool)
        .await?;
        if changed.rows_affected() == 0 {
            let (run, step) = (&entry.run, &entry.step);
            self.tell(&format_args!("the record of `{step}` of run {run} is gone"));
        }
        Ok(())
    }

    /// Forgets an effect about which nothing is left to do.
    pub(super) async fn close(&self, entry: &Entry) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM effects WHERE run = ?1 AND number = ?2")
            .bind(&entry.run)
            .bind(i64::from(entry.number))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    fn unusable(&self, why: impl ToString) -> JournalError {
        let error = JournalError(why.to_string());
        self.tell(&error);
        error
    }
}

/// An effect that has not come to its end, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The run.
    pub run: String,
    /// Which of the run's effects, from 0.
    pub number: u32,
    /// Composition that has the step.
    pub composition: String,
    /// The step.
    pub step: String,
    /// `begun`: under way, or cut off; `done`: it happened, and waits to be taken back if its run is over; `needs_review`.
    pub state: &'static str,
    /// Why a person must look.
    pub why: Option<String>,
    /// How often taking it back has been tried.
    pub tries: u32,
    /// Seconds since 1970 at which this became known.
    pub changed: i64,
}

/// What an operator's word on an effect came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Its record is gone, and a key that it held back may be used again.
    Done,
    /// It is not for a person to settle: the gateway is still at it.
    NotForReview,
    /// There is no such effect.
    Unknown,
}

impl Store {
    /// Every effect that has not come to its end, the latest first.
    pub(crate) async fn standing(&self) -> Result<Vec<Standing>, StoreError> {
        let rows = sqlx::query(
            "SELECT run, number, composition, step, state, tries, changed FROM effects \
             ORDER BY changed DESC, run, number DESC",
        )
        .fetch_all(&self.pool)
        .await?;
        let standing = rows.into_iter().map(|row| {
            let state: String = row.try_get("state")?;
            let number: i64 = row.try_get("number")?;
            let tries: i64 = row.try_get("tries")?;
            let (state, why) = match serde_json::from_str(&state) {
                Ok(State::Begun(_)) => ("begun", None),
                Ok(State::Done(_)) => ("done", None),
                Ok(State::NeedsReview(why)) => ("needs_review", Some(why)),
                Err(_) => ("needs_review", Some("its record cannot be read".to_owned())),
            };
            Ok(Standing {
                run: row.try_get("run")?,
                number: u32::try_from(number).unwrap_or(u32::MAX),
                composition: row.try_get("composition")?,
                step: row.try_get("step")?,
                state,
                why,
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
                changed: row.try_get("changed")?,
            })
        });
        Ok(standing.collect::<Result<Vec<_>, sqlx::Error>>()?)
    }

    /// Forgets an effect that a person has looked at. When it was the run's last, the key of its request is free again.
    pub(crate) async fn settle(&self, run: &str, number: u32) -> Result<Settled, StoreError> {
        let known = self.standing().await?;
        let Some(effect) = known
            .iter()
            .find(|effect| effect.run == run && effect.number == number)
        else {
            return Ok(Settled::Unknown);
        };
        if effect.state != "needs_review" {
            return Ok(Settled::NotForReview);
        }
        let mut both = self.pool.begin().await?;
        // Nothing leads out of this state but a person's word.
        sqlx::query("DELETE FROM effects WHERE run = ?1 AND number = ?2")
            .bind(run)
            .bind(i64::from(number))
            .execute(&mut *both)
            .await?;
        sqlx::query(
            "DELETE FROM answers WHERE run = ?1 AND status IS NULL \
             AND NOT EXISTS (SELECT 1 FROM effects WHERE run = ?1)",
        )
        .bind(run)
        .execute(&mut *both)
        .await?;
        both.commit().await?;
        Ok(Settled::Done)
    }
}

#[async_trait]
impl Journal for Store {
    async fn begin(&self, entry: &Entry, undo: Option<&UndoCall>) -> Result<(), JournalError> {
        sqlx::query(
            "INSERT INTO effects (run, number, composition, step, state, owner, changed) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(&entry.run)
        .bind(i64::from(entry.number))
        .bind(&entry.composition)
        .bind(&entry.step)
        .bind(text(&State::Begun(undo.cloned())))
        .bind(self.owner.name())
        .bind(now())
        .execute(&self.pool)
        .await
        .map(|_| ())
        .map_err(|error| self.unusable(error))
    }

    async fn done(&self, entry: &Entry, undo: &UndoCall) -> Result<(), JournalError> {
        self.mark(entry, &State::Done(undo.clone()))
            .await
            .map_err(|error| self.unusable(error))
    }

    async fn closed(&self, entry: &Entry) -> Result<(), JournalError> {
        self.leave(Owed::Closed(entry.clone()))
            .await
            .map_err(|error| JournalError(error.to_string()))
    }

    async fn tried(&self, entry: &Entry) -> Result<(), JournalError> {
        sqlx::query(
            "UPDATE effects SET tries = tries + 1, changed = ?3 WHERE run = ?1 AND number = ?2",
        )
        .bind(&entry.run)
        .bind(i64::from(entry.number))
        .bind(now())
        .execute(&self.pool)
        .await
        .map(|_| ())
        .map_err(|error| self.unusable(error))
    }

    async fn review(&self, entry: &Entry, why: &str) -> Result<(), JournalError> {
        self.leave(Owed::Review(entry.clone(), why.to_owned()))
            .await
            .map_err(|error| JournalError(error.to_string()))
    }

    async fn kept(&self, run: &str) -> Result<(), JournalError> {
        sqlx::query("DELETE FROM effects WHERE run = ?1")
            .bind(run)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| self.unusable(error))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Outages, *};

    fn entry(run: &str) -> Entry {
        Entry {
            run: run.to_owned(),
            number: 0,
            composition: "order".to_owned(),
            step: "held".to_owned(),
        }
    }

    async fn runs_of(store: &Store) -> Vec<String> {
        let open = store.open_effects().await.unwrap();
        open.into_iter().map(|open| open.entry.run).collect()
    }

    #[tokio::test]
    async fn what_another_process_is_busy_with_is_not_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let open = async || {
            Store::open(folder.path(), Outages::default())
                .await
                .unwrap()
        };
        let (one, other, third) = (open().await, open().await, open().await);
        one.begin(&entry("a"), None).await.unwrap();
        one.begin(&entry("b"), None).await.unwrap();
        assert!(runs_of(&one).await.is_empty() && runs_of(&other).await.is_empty());
        // Its run is over, and recovery is to take it back: whose that is is settled by who comes first.
        one.release("a").await.unwrap();
        assert_eq!(runs_of(&other).await, ["a"]);
        assert!(runs_of(&one).await.is_empty() && runs_of(&third).await.is_empty());
        assert_eq!(runs_of(&other).await, ["a"], "it tries again");
        drop(one);
        assert_eq!(runs_of(&third).await, ["b"]);
        drop(other);
        assert_eq!(runs_of(&third).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn what_was_tried_often_waits() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Outages::default())
            .await
            .unwrap();
        store.begin(&entry("a"), None).await.unwrap();
        store.release("a").await.unwrap();
        for _ in 0..7 {
            store.tried(&entry("a")).await.unwrap();
        }
        assert!(runs_of(&store).await.is_empty());
        for (seconds, due) in [(-3_600, true), (10, false), (20, true)] {
            sqlx::query("UPDATE effects SET changed = ?1")
                .bind(now() - seconds)
                .execute(&store.pool)
                .await
                .unwrap();
            assert_eq!(runs_of(&store).await.len(), usize::from(due), "{seconds}");
        }
    }
}
