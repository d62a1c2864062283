//! The C functions of libchdb 26.7 that we call, resolved at run time. Signatures follow `chdb.h` of that version;
//! `Library::load` refuses every other version, so a changed signature cannot be called by mistake.
#![expect(unsafe_code, reason = "resolving C symbols is a promise about their types that no compiler can check")]

use crate::OpenError;
use libloading::os::unix::{Library as Shared, RTLD_LOCAL, RTLD_NOW};
use std::{
    ffi::{CStr, c_char, c_int, c_void},
    path::Path,
};

/// `chdb_connection`: one session. `chdb_connect` answers a pointer to it.
pub(crate) type RawConnection = *mut c_void;
/// `chdb_result *`.
pub(crate) type RawAnswer = *mut c_void;
/// `chdb_insert_stream`.
pub(crate) type RawInsert = *mut c_void;

/// Keeps the library mapped for ever: its threads outlive every handle. libloading has no name for the flag.
const RTLD_NODELETE: c_int = 0x1000;

/// The versions whose signatures stand below.
const VERSION_PREFIX: &str = "26.7.";

/// One statement's text, output format and parameters, as the `_with_params_n` functions take them.
type Statement<R> = unsafe extern "C" fn(
    RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> R;

macro_rules! functions {
    ($($name:ident: $type:ty;)*) => {
        /// The resolved functions.
        #[derive(Debug)]
        pub(crate) struct Functions {
            $(pub(crate) $name: $type,)*
        }

        impl Functions {
            fn resolve(library: &Shared, path: &Path) -> Result<Self, OpenError> {
                Ok(Self {
                    $($name: {
                        let name = concat!(stringify!($name), "\0");
                        // SAFETY: the type is the one that chdb.h gives this name in the version checked by `load`.
                        // Reading a function's address runs no code of it.
                        let symbol = unsafe { library.get::<$type>(name.as_bytes()) };
                        *symbol.map_err(|source| OpenError::Library { path: path.to_owned(), source })?
                    },)*
                })
            }
        }
    };
}

functions! {
    chdb_version: unsafe extern "C" fn() -> *const c_char;
    chdb_set_signal_handlers_enabled: unsafe extern "C" fn(c_int);
    chdb_connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut RawConnection;
    chdb_close_conn: unsafe extern "C" fn(*mut RawConnection);
    chdb_query_with_params_n: Statement<RawAnswer>;
    chdb_destroy_query_result: unsafe extern "C" fn(RawAnswer);
    chdb_result_buffer: unsafe extern "C" fn(RawAnswer) -> *mut c_char;
    chdb_result_length: unsafe extern "C" fn(RawAnswer) -> usize;
    chdb_result_error: unsafe extern "C" fn(RawAnswer) -> *const c_char;
    chdb_result_rows_read: unsafe extern "C" fn(RawAnswer) -> u64;
    chdb_result_storage_rows_read: unsafe extern "C" fn(RawAnswer) -> u64;
    chdb_result_storage_bytes_read: unsafe extern "C" fn(RawAnswer) -> u64;
    chdb_result_rows_written: unsafe extern "C" fn(RawAnswer) -> u64;
    chdb_result_bytes_written: unsafe extern "C" fn(RawAnswer) -> u64;
    chdb_stream_insert_with_params_n: Statement<RawInsert>;
    chdb_stream_append: unsafe extern "C" fn(RawInsert, *const c_void, usize) -> c_int;
    chdb_stream_done: unsafe extern "C" fn(RawInsert) -> RawAnswer;
    chdb_stream_insert_error: unsafe extern "C" fn(RawInsert) -> *const c_char;
    chdb_destroy_insert_stream: unsafe extern "C" fn(RawInsert);
    chdb_classify_query_n: unsafe extern "C" fn(RawConnection, *const c_char, usize, *const c_char, usize, *mut Analysis) -> c_int;
}

/// `chdb_query_analysis_v1`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) struct_size: u32,
    pub(crate) statement_count: u32,
    pub(crate) flags: u32,
    pub(crate) query_class: u32,
}

impl Functions {
    /// Loads the library and switches its signal handlers off, which must happen before the first connection: left on,
    /// they replace the program's handlers of SIGSEGV, SIGABRT and others.
    ///
    /// The library's static initialisers block SIGPIPE in the thread that loads it, so that thread is a passing one.
    pub(crate) fn load(path: &Path) -> Result<Self, OpenError> {
        let loader = std::thread::scope(|scope| scope.spawn(|| Self::load_here(path)).join());
        loader.unwrap_or(Err(OpenError::Connect))
    }

    fn load_here(path: &Path) -> Result<Self, OpenError> {
        // SAFETY: opening runs the library's static initialisers. The caller chose the file; libchdb's only set up its
        // own state. RTLD_LOCAL keeps its symbols from replacing any of ours; with RTLD_NODELETE no function pointer
        // dangles after `library` is dropped at the end of this function.
        let library = unsafe { Shared::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }
            .map_err(|source| OpenError::Library { path: path.to_owned(), source })?;
        let functions = Self::resolve(&library, path)?;
        let version = functions.version();
        if !version.starts_with(VERSION_PREFIX) {
            return Err(OpenError::Version { path: path.to_owned(), found: version, wanted: VERSION_PREFIX });
        }
        // SAFETY: takes an int by value and has no other precondition.
        unsafe { (functions.chdb_set_signal_handlers_enabled)(0) };
        Ok(functions)
    }

    /// The library's version.
    pub(crate) fn version(&self) -> String {
        // SAFETY: chdb_version answers a static, NUL-terminated string.
        unsafe { text((self.chdb_version)()) }.unwrap_or_default()
    }
}

/// Copies a C string; `None` for NULL.
///
/// # Safety
/// The pointer is NULL or points to a NUL-terminated string that lives through this call.
pub(crate) unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise is the one that CStr asks for.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
