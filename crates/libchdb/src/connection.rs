//! One session of the engine: statements in, answers out.
#![expect(unsafe_code, reason = "calls the C interface; each handle has one owner here, which frees it once")]

use crate::{
    Exception, OpenError,
    abi::{self, Functions, RawAnswer, RawConnection, RawInsert},
};
use std::ffi::{CString, c_char, c_int};

/// How much data goes into one call of the streamed insert; the engine copies each piece.
const APPEND_BYTES: usize = 1 << 20;

/// A session: one statement at a time, from whichever thread holds it.
#[derive(Debug)]
pub struct Connection {
    functions: &'static Functions,
    /// What `chdb_connect` answered: never NULL, points to a handle that is not NULL.
    raw: *mut RawConnection,
}

// SAFETY: the engine runs a connection's statements on a thread of its own and ties no state to the calling thread.
// `&mut self` on every method keeps two threads from using one connection at once.
unsafe impl Send for Connection {}

impl Connection {
    pub(crate) fn open(functions: &'static Functions, arguments: &[String]) -> Result<Self, OpenError> {
        let program = std::iter::once("libchdb").chain(arguments.iter().map(String::as_str));
        let owned: Vec<CString> =
            program.map(CString::new).collect::<Result<_, _>>().map_err(|_| OpenError::Connect)?;
        let mut pointers: Vec<*mut c_char> = owned.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| OpenError::Connect)?;
        // SAFETY: `count` NUL-terminated strings that live through the call; the engine copies them and writes to none.
        let raw = unsafe { (functions.chdb_connect)(count, pointers.as_mut_ptr()) };
        // SAFETY: a pointer that is not NULL points to a connection handle, by chdb_connect's contract.
        if raw.is_null() || unsafe { *raw }.is_null() {
            return Err(OpenError::Connect);
        }
        Ok(Self { functions, raw })
    }

    fn handle(&self) -> RawConnection {
        // SAFETY: `open` checked the pointer, and only `drop` gives it back.
        unsafe { *self.raw }
    }

    /// Runs one statement without data of its own. `format` is used where the statement names none; `parameters` fill
    /// `{name:Type}` places, their values escaped as in ClickHouse's HTTP interface.
    pub fn query(&mut self, sql: &str, format: &str, parameters: &[(String, String)]) -> Result<Answer, Exception> {
        let p = Parameters::new(parameters);
        // SAFETY: every pointer comes with its length and lives through the call; the four lists have `p.count` entries.
        let raw = unsafe {
            (self.functions.chdb_query_with_params_n)(
                self.handle(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                p.names.as_ptr(),
                p.name_lengths.as_ptr(),
                p.values.as_ptr(),
                p.value_lengths.as_ptr(),
                p.count,
            )
        };
        Answer::take(self.functions, raw)
    }

    /// Inserts data in the given format. The statement ends before its FORMAT clause: `INSERT INTO t (a, b)`.
    /// Nothing is stored unless all of the data was good.
    pub fn insert(
        &mut self,
        statement: &str,
        format: &str,
        parameters: &[(String, String)],
        data: &[u8],
    ) -> Result<Answer, Exception> {
        let p = Parameters::new(parameters);
        // SAFETY: as in `query`.
        let raw = unsafe {
            (self.functions.chdb_stream_insert_with_params_n)(
                self.handle(),
                statement.as_ptr().cast(),
                statement.len(),
                format.as_ptr().cast(),
                format.len(),
                p.names.as_ptr(),
                p.name_lengths.as_ptr(),
                p.values.as_ptr(),
                p.value_lengths.as_ptr(),
                p.count,
            )
        };
        if raw.is_null() {
            return Err(Exception::logical("the engine opened no insert"));
        }
        let insert = Insert { functions: self.functions, raw };
        insert.check(true)?;
        for piece in data.chunks(APPEND_BYTES) {
            // SAFETY: the stream is open (its owner is `insert`); the piece lives through the call, which copies it.
            let state = unsafe { (self.functions.chdb_stream_append)(insert.raw, piece.as_ptr().cast(), piece.len()) };
            insert.check(state == 0)?;
        }
        // SAFETY: the stream is open and this is its one end. A stream dropped before it is cancelled by the engine.
        let answer = unsafe { (self.functions.chdb_stream_done)(insert.raw) };
        Answer::take(self.functions, answer)
    }

    /// What a text would do, without doing it. The engine's own parser decides.
    pub fn analyse(&mut self, sql: &str) -> Result<Analysis, Exception> {
        let mut analysis = abi::Analysis { struct_size: 16, statement_count: 0, flags: 0, query_class: 0 };
        // SAFETY: the text comes with its length, the target database is absent, `struct_size` is the struct's size.
        let state = unsafe {
            (self.functions.chdb_classify_query_n)(
                self.handle(),
                sql.as_ptr().cast(),
                sql.len(),
                std::ptr::null(),
                0,
                &raw mut analysis,
            )
        };
        if state != 0 {
            return Err(Exception::logical("the engine could not classify the statement"));
        }
        let class = match analysis.query_class {
            0 => StatementClass::Reads,
            1 | 2 => StatementClass::Changes,
            3 => StatementClass::Controls,
            _ => StatementClass::Unknown,
        };
        Ok(Analysis { statements: analysis.statement_count, class })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the pointer came from chdb_connect and is given back once; no insert borrows the connection any more.
        unsafe { (self.functions.chdb_close_conn)(self.raw) };
    }
}

/// What a text would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analysis {
    /// Executable statements in the text; 0 when it does not parse.
    pub statements: u32,
    pub class: StatementClass,
}

/// What a statement does to state that outlives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementClass {
    /// SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS, CHECK.
    Reads,
    /// INSERT, CREATE, ALTER, DROP and the like.
    Changes,
    /// USE, SET, SYSTEM, KILL, BACKUP, and what writes outside the engine: INTO OUTFILE, INSERT INTO FUNCTION.
    Controls,
    /// Does not parse.
    Unknown,
}

/// The four lists that the C interface wants; borrows the parameters' text.
struct Parameters {
    names: Vec<*const c_char>,
    name_lengths: Vec<usize>,
    values: Vec<*const c_char>,
    value_lengths: Vec<usize>,
    count: usize,
}

impl Parameters {
    fn new(parameters: &[(String, String)]) -> Self {
        Self {
            names: parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect(),
            name_lengths: parameters.iter().map(|(name, _)| name.len()).collect(),
            values: parameters.iter().map(|(_, value)| value.as_ptr().cast()).collect(),
            value_lengths: parameters.iter().map(|(_, value)| value.len()).collect(),
            count: parameters.len(),
        }
    }
}

/// An insert under way; dropping it before its end cancels it.
struct Insert {
    functions: &'static Functions,
    raw: RawInsert,
}

impl Insert {
    fn check(&self, succeeded: bool) -> Result<(), Exception> {
        // SAFETY: the stream lives; the text, where there is one, belongs to it and is copied at once.
        match unsafe { abi::text((self.functions.chdb_stream_insert_error)(self.raw)) } {
            Some(text) => Err(Exception::parse(text)),
            None if succeeded => Ok(()),
            None => Err(Exception::logical("the engine took no more data")),
        }
    }
}

impl Drop for Insert {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and given back once; the engine cancels an insert that has not ended.
        unsafe { (self.functions.chdb_destroy_insert_stream)(self.raw) };
    }
}

/// A statement's result, in the engine's memory until dropped.
#[derive(Debug)]
pub struct Answer {
    functions: &'static Functions,
    raw: RawAnswer,
}

// SAFETY: a finished result is a plain buffer with counters, independent of its connection; nothing changes it.
unsafe impl Send for Answer {}
// SAFETY: as above; all accessors only read.
unsafe impl Sync for Answer {}

impl Answer {
    fn take(functions: &'static Functions, raw: RawAnswer) -> Result<Self, Exception> {
        if raw.is_null() {
            return Err(Exception::logical("the engine gave no result"));
        }
        let answer = Self { functions, raw };
        // SAFETY: the result lives; its text belongs to it and is copied at once.
        match unsafe { abi::text((functions.chdb_result_error)(raw)) } {
            Some(text) => Err(Exception::parse(text)),
            None => Ok(answer),
        }
    }

    /// The result in its output format.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the result lives as long as `self`.
        let (pointer, length) =
            unsafe { ((self.functions.chdb_result_buffer)(self.raw), (self.functions.chdb_result_length)(self.raw)) };
        if pointer.is_null() || length == 0 {
            return &[];
        }
        // SAFETY: `length` initialised bytes at `pointer` belong to the result and do not change until it is destroyed,
        // which `Drop` does after this borrow has ended.
        unsafe { std::slice::from_raw_parts(pointer.cast_const().cast(), length) }
    }

    /// Rows in the result.
    pub fn rows(&self) -> u64 {
        // SAFETY: the result lives as long as `self`.
        unsafe { (self.functions.chdb_result_rows_read)(self.raw) }
    }

    /// Rows read from storage.
    pub fn rows_read(&self) -> u64 {
        // SAFETY: the result lives as long as `self`.
        unsafe { (self.functions.chdb_result_storage_rows_read)(self.raw) }
    }

    /// Bytes read from storage.
    pub fn bytes_read(&self) -> u64 {
        // SAFETY: the result lives as long as `self`.
        unsafe { (self.functions.chdb_result_storage_bytes_read)(self.raw) }
    }

    /// Rows written, those of materialized views included.
    pub fn rows_written(&self) -> u64 {
        // SAFETY: the result lives as long as `self`.
        unsafe { (self.functions.chdb_result_rows_written)(self.raw) }
    }

    /// Bytes written, those of materialized views included.
    pub fn bytes_written(&self) -> u64 {
        // SAFETY: the result lives as long as `self`.
        unsafe { (self.functions.chdb_result_bytes_written)(self.raw) }
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and given back once.
        unsafe { (self.functions.chdb_destroy_query_result)(self.raw) };
    }
}
