//! The ClickHouse engine inside this process: a safe, minimal face of libchdb's C interface, loaded at run time.
//!
//! Promises: no link-time dependency; the host's signal handlers and the loading thread's signal mask stay as they
//! were; data of an INSERT reaches the engine whole. Leaves out: sessions shared between threads, Arrow, backups.
//!
//! What the C interface does not say, and this crate takes care of:
//! - `chdb_query_n("INSERT … FORMAT RowBinary\n" + data)` cuts binary data at its first newline, silently. Data
//!   goes through [`Connection::insert`] only, which streams it.
//! - The streamed form wants the statement without its FORMAT clause (else `UNEXPECTED_PACKET`).
//! - A relative path together with `fsync_part_directory` doubles the path: the folder is made canonical.
//! - One process has one engine and one folder, for good: [`Engine::open`] refuses a second.
//! - Forking without exec after `open` leaves a child whose queries hang: daemonise before.

mod abi;
mod connection;

pub use connection::{Analysis, Answer, Connection, StatementClass};

use abi::Functions;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Why the engine did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot load {path}: {source}")]
    Library { path: PathBuf, source: libloading::Error },
    #[error("{path} is libchdb {found}, this program works with {wanted}x")]
    Version { path: PathBuf, found: String, wanted: &'static str },
    #[error("the engine's folder {folder}: {source}")]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("an engine is open in this process already, and there can be only one")]
    SecondEngine,
    /// libchdb gives no text here, it prints its reason to standard error.
    #[error("the engine refused to start: its folder may be in use; standard error has its words")]
    Connect,
}

/// What the engine answered instead of a result: ClickHouse's error code and text (`Code: 47. DB::Exception: …`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Exception {
    pub code: u32,
    pub message: String,
}

impl Exception {
    /// ClickHouse's `LOGICAL_ERROR`, for what should not happen.
    const LOGICAL: u32 = 49;

    /// From the engine's text, which begins with its code.
    pub(crate) fn parse(message: String) -> Self {
        let digits = message.strip_prefix("Code: ").unwrap_or_default();
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Self { code: digits.parse().unwrap_or(Self::LOGICAL), message }
    }

    pub(crate) fn logical(message: &str) -> Self {
        Self::parse(format!("Code: {}. DB::Exception: {message}. (LOGICAL_ERROR)", Self::LOGICAL))
    }
}

static OPENED: AtomicBool = AtomicBool::new(false);

/// The engine of this process with its folder open.
#[derive(Debug)]
pub struct Engine {
    functions: &'static Functions,
    path_argument: String,
    /// The engine lives as long as a connection is open; this one is never used for anything else.
    _keeper: Mutex<Connection>,
}

impl Engine {
    /// Loads the library and opens the folder, made if missing. `server` are the engine's server-level settings, such
    /// as `("max_server_memory_usage", "1500000000")`; its own defaults take 90 % of the machine's memory.
    pub fn open(library: &Path, folder: &Path, server: &[(&str, String)]) -> Result<Self, OpenError> {
        let in_folder = |source| OpenError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(in_folder)?;
        let folder_whole = fs::canonicalize(folder).map_err(in_folder)?;
        let not_text = || in_folder(std::io::Error::other("its path is not UTF-8"));
        let path_argument = format!("--path={}", folder_whole.to_str().ok_or_else(not_text)?);
        let functions = Functions::load(library)?;
        if OPENED.swap(true, Ordering::SeqCst) {
            return Err(OpenError::SecondEngine);
        }
        let functions: &'static Functions = Box::leak(Box::new(functions));
        let arguments: Vec<String> = std::iter::once(path_argument.clone())
            .chain(server.iter().map(|(name, value)| format!("--{name}={value}")))
            .collect();
        let keeper = Connection::open(functions, &arguments)?;
        Ok(Self { functions, path_argument, _keeper: Mutex::new(keeper) })
    }

    /// A new session with default settings: about 0.2 ms. `SET` and `USE` on it concern nobody else.
    pub fn connect(&self) -> Result<Connection, OpenError> {
        Connection::open(self.functions, std::slice::from_ref(&self.path_argument))
    }

    /// The library's version, such as `26.7.3`.
    pub fn version(&self) -> String {
        self.functions.version()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_has_the_code_that_its_text_begins_with() {
        let cases = [
            ("Code: 47. DB::Exception: Unknown identifier", 47),
            ("Code: 516. DB::Exception", 516),
            ("no code at all", Exception::LOGICAL),
            ("", Exception::LOGICAL),
            ("Code: 99999999999. x", Exception::LOGICAL),
        ];
        for (text, code) in cases {
            assert_eq!(Exception::parse(text.to_owned()).code, code, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_by_name() {
        let error = Engine::open(Path::new("/nonexistent/libchdb.so"), &std::env::temp_dir(), &[]).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/libchdb.so"), "{error}");
    }
}
