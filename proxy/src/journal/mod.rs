//! The durable record, in an embedded store (SQLite): effects that can be taken back, written before they happen, and
//! answers that a repeated key gets again. Both survive the end of the process, also by a kill.

mod answers;
mod effects;
mod owed;
mod owner;

use std::{collections::VecDeque, fmt::Display, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::IntCounter;
use sqlx::{
    Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub(crate) use answers::{Begun, Kept};
pub use effects::{Settled, Standing};
pub(crate) use owed::{Key, Owed};

use owner::Owner;

/// Name of the store's file within the state folder.
const FILE: &str = "isobar.db";
/// Connections: writers take turns anyway.
const CONNECTIONS: u32 = 4;
/// How long a writer waits for another.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS effects (
        run TEXT NOT NULL, number INTEGER NOT NULL, composition TEXT NOT NULL, step TEXT NOT NULL,
        state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (run, number)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (
        scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, run TEXT NOT NULL, owner TEXT NOT NULL,
        status INTEGER, headers TEXT, body BLOB, expires INTEGER NOT NULL,
        PRIMARY KEY (scope, key)) STRICT",
];

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
    owner: Arc<Owner>,
    outages: Outages,
    /// What could not be written, in the order in which it was to be.
    owed: Arc<Mutex<VecDeque<Owed>>>,
}

/// Where an operator is told that the store cannot be used: in the log, and by a counter where somebody looks at it. Clients
/// do not learn what is wrong with a disk, and runs go on without a record where they can.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outages(Option<IntCounter>);

impl Outages {
    pub(crate) fn counted(counter: IntCounter) -> Self {
        Self(Some(counter))
    }

    pub(crate) fn tell(&self, error: &dyn Display) {
        log::error!("{error}");
        if let Some(counter) = &self.0 {
            counter.inc();
        }
    }
}

/// The store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot be used: {0}")]
pub struct StoreError(#[from] sqlx::Error);

impl Store {
    /// Opens the store of a state folder, which is made if it is not there. Other processes may have it open, too.
    pub(crate) async fn open(folder: &Path, outages: Outages) -> Result<Self, StoreError> {
        let state = folder.to_owned();
        let owner = tokio::task::spawn_blocking(move || Owner::new(&state)).await;
        let owner = owner.map_err(std::io::Error::other).flatten();
        let owner = Arc::new(owner.map_err(sqlx::Error::Io)?);
        let options = SqliteConnectOptions::new()
            .filename(folder.join(FILE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit has reached the disk when it returns, also if the machine loses power.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .after_release(|connection, _| Box::pin(is_usable(connection)))
            .connect_with(options)
            .await?;
        for table in TABLES {
            sqlx::query(table).execute(&pool).await?;
        }
        Ok(Self {
            pool,
            owner,
            outages,
            owed: Arc::default(),
        })
    }

    /// Tells an operator what one of its calls came to.
    pub(crate) fn tell(&self, error: &dyn Display) {
        self.outages.tell(error);
    }
}

/// Whether a connection may be used again. When a disk is full, SQLite rolls back by itself what was begun; sqlx then
/// fails to roll it back once more, takes the transaction to be open still, and could never begin another.
async fn is_usable(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Answered after the rollback that a dropped transaction has asked for.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Effects in a state folder that have not come to their end, the latest first; also while a gateway uses the folder.
pub async fn standing(folder: &Path) -> Result<Vec<Standing>, StoreError> {
    if !exists(folder) {
        return Ok(Vec::new());
    }
    looking(folder).await?.standing().await
}

/// Forgets an effect in a state folder that a person has looked at.
pub async fn settle(folder: &Path, run: &str, number: u32) -> Result<Settled, StoreError> {
    if !exists(folder) {
        return Ok(Settled::Unknown);
    }
    looking(folder).await?.settle(run, number).await
}

/// The store as one opens it who has nobody to tell.
async fn looking(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder, Outages::default()).await
}

/// Whether a state folder has a store.
pub(crate) fn exists(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
