//! What a repeated key gets: the same answer, or word that the first request is still running.

use std::time::Duration;

use sqlx::Row as _;

use super::{Store, StoreError, now};

/// An answer that is kept for its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What there is under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nothing was; the key is this request's now.
    New,
    /// The answer of an earlier request.
    Answered(Kept),
    /// An earlier request is still running, or its effects are being taken back.
    Running,
    /// An earlier request had another body.
    Conflict,
}

impl Store {
    /// Takes a key for a run, unless it is taken.
    pub(crate) async fn begin_answer(
        &self,
        scope: &str,
        key: &str,
        fingerprint: &[u8],
        run: &str,
        keep: Duration,
    ) -> Result<Begun, StoreError> {
        let (now, keep) = (now(), i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let found = sqlx::query(
            "SELECT fingerprint, run, owner, status, headers, body, expires FROM answers \
             WHERE scope = ?1 AND key = ?2",
        )
        .bind(scope)
        .bind(key)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = found {
            let expires: i64 = row.try_get("expires")?;
            let known: Vec<u8> = row.try_get("fingerprint")?;
            let status: Option<i64> = row.try_get("status")?;
            let owner: String = row.try_get("owner")?;
            let earlier: String = row.try_get("run")?;
            if expires > now || status.is_none() {
                if known != fingerprint {
                    return Ok(Begun::Conflict);
                }
                if let Some(status) = status {
                    let headers: Option<String> = row.try_get("headers")?;
                    let body: Option<Vec<u8>> = row.try_get("body")?;
                    return Ok(Begun::Answered(Kept {
                        status: u16::try_from(status).unwrap_or(500),
                        headers: headers
                            .and_then(|text| serde_json::from_str(&text).ok())
                            .unwrap_or_default(),
                        body: body.unwrap_or_default(),
                    }));
                }
                // Cut off with its process: the key is free once its effects are taken back.
                let open = sqlx::query("SELECT 1 FROM effects WHERE run = ?1 LIMIT 1")
                    .bind(&earlier)
                    .fetch_optional(&mut *transaction)
                    .await?;
                if self.owner.is_busy(&owner) || open.is_some() {
                    return Ok(Begun::Running);
                }
            }
        }
        sqlx::query(
            "INSERT OR REPLACE INTO answers (scope, key, fingerprint, run, owner, expires) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(scope)
        .bind(key)
        .bind(fingerprint)
        .bind(run)
        .bind(self.owner.name())
        .bind(now.saturating_add(keep))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Begun::New)
    }

    /// Keeps the answer of a run.
    pub(crate) async fn keep_answer(
        &self,
        scope: &str,
        key: &str,
        kept: &Kept,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE answers SET status = ?3, headers = ?4, body = ?5 WHERE scope = ?1 AND key = ?2",
        )
        .bind(scope)
        .bind(key)
        .bind(i64::from(kept.status))
        .bind(serde_json::to_string(&kept.headers).unwrap_or_default())
        .bind(&kept.body)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a key back: its run ended without an answer that is worth keeping.
    pub(crate) async fn forget_answer(&self, scope: &str, key: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM answers WHERE scope = ?1 AND key = ?2 AND status IS NULL")
            .bind(scope)
            .bind(key)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets answers whose time is over.
    pub(crate) async fn sweep_answers(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM answers WHERE expires <= ?1 AND status IS NOT NULL")
            .bind(now())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Outages, *};

    const DAY: Duration = Duration::from_hours(24);

    async fn open(folder: &std::path::Path) -> Store {
        Store::open(folder, Outages::default()).await.unwrap()
    }

    fn kept(body: &str) -> Kept {
        Kept {
            status: 201,
            headers: vec![("x-a".to_owned(), "b".to_owned())],
            body: body.into(),
        }
    }

    #[tokio::test]
    async fn a_repeated_key_gets_the_same_answer_and_another_body_is_a_conflict() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let begin = |print: &'static [u8], run: &'static str| {
            let store = store.clone();
            async move {
                store
                    .begin_answer("shop", "k", print, run, DAY)
                    .await
                    .unwrap()
            }
        };
        assert_eq!(begin(b"1", "a").await, Begun::New);
        assert_eq!(begin(b"1", "b").await, Begun::Running);
        assert_eq!(begin(b"2", "b").await, Begun::Conflict);
        store.keep_answer("shop", "k", &kept("yes")).await.unwrap();
        assert_eq!(begin(b"1", "b").await, Begun::Answered(kept("yes")));
        assert_eq!(begin(b"2", "b").await, Begun::Conflict);
        let other = store.begin_answer("blog", "k", b"2", "c", DAY).await;
        assert_eq!(other.unwrap(), Begun::New);
    }

    #[tokio::test]
    async fn a_key_is_free_again_when_its_run_gave_it_back_or_ended_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let first = store.begin_answer("shop", "k", b"1", "a", DAY).await;
        assert_eq!(first.unwrap(), Begun::New);
        store.forget_answer("shop", "k").await.unwrap();
        let again = store.begin_answer("shop", "k", b"2", "b", DAY).await;
        assert_eq!(again.unwrap(), Begun::New);
        drop(store);
        let later = open(folder.path()).await;
        let again = later.begin_answer("shop", "k", b"2", "c", DAY).await;
        assert_eq!(again.unwrap(), Begun::New);
    }

    #[tokio::test]
    async fn a_key_is_not_free_while_its_run_goes_on_in_a_process_beside() {
        let folder = tempfile::tempdir().unwrap();
        let older = open(folder.path()).await;
        let first = older.begin_answer("shop", "k", b"1", "a", DAY).await;
        assert_eq!(first.unwrap(), Begun::New);
        let newer = open(folder.path()).await;
        let begin = async || {
            newer
                .begin_answer("shop", "k", b"1", "b", DAY)
                .await
                .unwrap()
        };
        assert_eq!(begin().await, Begun::Running);
        drop(older);
        assert_eq!(begin().await, Begun::New, "its process has left");
    }

    #[tokio::test]
    async fn an_answer_is_forgotten_when_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let begun = store
            .begin_answer("shop", "k", b"1", "a", Duration::ZERO)
            .await;
        assert_eq!(begun.unwrap(), Begun::New);
        store.keep_answer("shop", "k", &kept("yes")).await.unwrap();
        store.sweep_answers().await.unwrap();
        let again = store.begin_answer("shop", "k", b"2", "b", DAY).await;
        assert_eq!(again.unwrap(), Begun::New);
    }
}
