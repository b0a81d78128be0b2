//! Effects of runs, for taking them back.

use async_trait::async_trait;
use isobar_compositions::journal::{Entry, Journal, JournalError, Open, State, UndoCall};
use sqlx::Row as _;

use super::{Store, StoreError, now};

/// What a row's state is, as JSON.
fn text(state: &State) -> String {
    serde_json::to_string(state).unwrap_or_default()
}

impl Store {
    /// Effects that no run of this process is busy with: those of earlier processes, and those whose undo is pending.
    pub(crate) async fn open_effects(&self) -> Result<Vec<Open>, StoreError> {
        let rows = sqlx::query(
            "SELECT run, number, composition, step, state, tries FROM effects \
             WHERE owner <> ?1 ORDER BY run, number DESC",
        )
        .bind(&self.owner)
        .fetch_all(&self.pool)
        .await?;
        let open = rows.into_iter().map(|row| {
            let state: String = row.try_get("state")?;
            let number: i64 = row.try_get("number")?;
            let tries: i64 = row.try_get("tries")?;
            Ok(Open {
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
            })
        });
        Ok(open.collect::<Result<Vec<_>, sqlx::Error>>()?)
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

    async fn set(&self, entry: &Entry, state: &State) -> Result<(), JournalError> {
        let changed = sqlx::query(
            "UPDATE effects SET state = ?3, changed = ?4 WHERE run = ?1 AND number = ?2",
        )
        .bind(&entry.run)
        .bind(i64::from(entry.number))
        .bind(text(state))
        .bind(now())
        .execute(&self.pool)
        .await
        .map_err(|error| JournalError(error.to_string()))?;
        if changed.rows_affected() == 1 {
            Ok(())
        } else {
            Err(JournalError("the record of an effect is gone".to_owned()))
        }
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
        .bind(&self.owner)
        .bind(now())
        .execute(&self.pool)
        .await
        .map(|_| ())
        .map_err(|error| JournalError(error.to_string()))
    }

    async fn done(&self, entry: &Entry, undo: &UndoCall) -> Result<(), JournalError> {
        self.set(entry, &State::Done(undo.clone())).await
    }

    async fn closed(&self, entry: &Entry) -> Result<(), JournalError> {
        sqlx::query("DELETE FROM effects WHERE run = ?1 AND number = ?2")
            .bind(&entry.run)
            .bind(i64::from(entry.number))
            .execute(&self.pool)
            .await
            .map(|_| ())
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
        .map_err(|error| JournalError(error.to_string()))
    }

    async fn review(&self, entry: &Entry, why: &str) -> Result<(), JournalError> {
        self.set(entry, &State::NeedsReview(why.to_owned())).await
    }

    async fn kept(&self, run: &str) -> Result<(), JournalError> {
        sqlx::query("DELETE FROM effects WHERE run = ?1")
            .bind(run)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| JournalError(error.to_string()))
    }
}
