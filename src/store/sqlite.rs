//! The control store in one SQLite file: opened, checked and migrated; then the domain's ports.
//!
//! Write-ahead log, so that requests read while somebody writes; every commit is on disk before it is confirmed, so
//! that no revocation is lost; the file belongs to its owner alone. Several processes may open it at once.

mod alerts;
mod audit;
mod budgets;
mod registry;

use super::{rows::KeyRow, settings::Settings};
use crate::{
    auth::{
        key::{KeyHash, KeyRecord},
        port::{KeyStore, StoreDown},
    },
    base::{
        clock::{self, Duration, Timestamp},
        ids::KeyId,
    },
};
use async_trait::async_trait;
use sqlx::{
    ConnectOptions, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

static MIGRATIONS: Migrator = sqlx::migrate!("schema/control");

/// Connections, each on a thread of its own. Requests read rarely, behind a cache.
const CONNECTIONS_MAX: u32 = 4;
/// How long a writer waits for another one.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);
/// SQLite's result code for a file that another connection holds, and the pause before it is tried again.
const SQLITE_BUSY: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How long a caller waits for a connection.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(5);
/// Read and written by the owner alone; SQLite gives its side files the same mode.
const MODE: u32 = 0o600;

/// Why the control store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: cannot be made or written: {reason}; check the folder and its owner")]
    NotWritable { path: PathBuf, reason: String },
    #[error("{path}: is no control store, or a damaged one: {reason}; restore it from a backup or move it away")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path}: has schema version {version}, written by a newer program; start that one, or restore a backup")]
    Newer { path: PathBuf, version: i64 },
    #[error("{path}: {reason}")]
    Other { path: PathBuf, reason: String },
}

/// The control store.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    /// Who is written down as having changed something.
    who: Arc<str>,
}

impl SqliteStore {
    /// Opens the file, makes it if it is missing, checks it and brings its schema up to date.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let path = settings.sqlite.as_path();
        prepare(path).map_err(|error| not_writable(path, &error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIME_MAX)
            .disable_statement_logging();
        let pool = connected(options).await.map_err(|error| open_error(path, &error))?;
        check_and_migrate(path, &pool).await?;
        Ok(Self { pool, who: "gateway".into() })
    }

    /// The same store; what is changed through it was changed by somebody else.
    #[must_use]
    pub fn acting_as(&self, who: &str) -> Self {
        Self { pool: self.pool.clone(), who: who.into() }
    }

    /// Closes all connections, so that the file stands alone again.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that writes from its start: it waits for other writers once and cannot fail half-way for them.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }
}

/// Opens the first connection, which turns the write-ahead log on. For that SQLite does not wait for another process that
/// does the same at the same moment, whatever the busy timeout: so it is tried again within that time.
async fn connected(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let deadline = clock::instant() + BUSY_TIME_MAX;
    loop {
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(ACQUIRE_TIME_MAX);
        match pool.connect_with(options.clone()).await {
            Err(error) if code_of(&error) == Some(SQLITE_BUSY) && clock::instant() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// SQLite's primary result code.
fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

/// Makes the folder and the file, so that the file has its mode before anything is in it. A file that is there is not
/// opened: closing it again would drop the locks that SQLite may hold on it elsewhere in this process.
fn prepare(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
    }
    Ok(())
}

/// All in one transaction that writes from its start, so that of two processes one migrates and the other finds it
/// done. `sqlx` takes no lock of its own on SQLite.
async fn check_and_migrate(path: &Path, pool: &SqlitePool) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| open_error(path, &error);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *transaction).await.map_err(failed)?;
    if verdict != "ok" {
        return Err(OpenError::Damaged { path: path.to_owned(), reason: verdict });
    }
    let migrated = MIGRATIONS.run(&mut *transaction).await;
    migrated.map_err(|error| migrate_error(path, error))?;
    transaction.commit().await.map_err(failed)
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreDown> {
        let row: Option<KeyRow> = sqlx::query_as(
            "SELECT keys.*, organizations.name AS organization_name,
                    organizations.limits AS organization_limits,
                    organizations.disabled_at AS organization_disabled_at
             FROM keys JOIN organizations ON organizations.id = keys.organization_id
             WHERE keys.hash = ?",
        )
        .bind(hash.as_bytes().as_slice())
        .fetch_optional(&self.pool)
        .await
        .map_err(down)?;
        row.map(KeyRecord::try_from).transpose()
    }

    async fn note_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreDown> {
        let mut transaction = self.write().await.map_err(down)?;
        for (id, at) in uses {
            sqlx::query("UPDATE keys SET last_used_at = ?1 WHERE id = ?2 AND ifnull(last_used_at, -1) < ?1")
                .bind(at.millis())
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(down)?;
        }
        transaction.commit().await.map_err(down)
    }

    async fn reachable(&self) -> Result<(), StoreDown> {
        sqlx::query("SELECT 1 FROM organizations LIMIT 1").execute(&self.pool).await.map_err(down)?;
        Ok(())
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn down(error: sqlx::Error) -> StoreDown {
    StoreDown::new(error.to_string())
}

fn not_writable(path: &Path, error: &io::Error) -> OpenError {
    OpenError::NotWritable { path: path.to_owned(), reason: error.to_string() }
}

fn migrate_error(path: &Path, error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(version) => OpenError::Newer { path: path.to_owned(), version },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => open_error(path, &error),
        other => OpenError::Other { path: path.to_owned(), reason: other.to_string() },
    }
}

/// SQLite's primary result codes are the low byte of what it reports: <https://www.sqlite.org/rescode.html>.
fn open_error(path: &Path, error: &sqlx::Error) -> OpenError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match code_of(error) {
        Some(8 | 13 | 14) => OpenError::NotWritable { path, reason },
        Some(11 | 26) => OpenError::Damaged { path, reason },
        _ => OpenError::Other { path, reason },
    }
}

#[cfg(test)]
mod tests;
