//! What the store answers instead of a result: ClickHouse's error code and text, with the HTTP status that a
//! ClickHouse server gives that code (as of 26.7).

use hyper::StatusCode;
use libchdb::Exception;

/// The codes that we make ourselves; the engine's own pass through as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BadArguments,
    ChecksumDoesntMatch,
    NotImplemented,
    SyntaxError,
    UnknownCompressionMethod,
    UnknownSetting,
    Readonly,
    SocketTimeout,
    NetworkError,
    QueryIsTooLarge,
    MemoryLimitExceeded,
    CannotDecompress,
    IntoOutfileNotAllowed,
    CannotScheduleTask,
    AuthenticationFailed,
    QueryIsProhibited,
}

impl Code {
    const fn number_and_name(self) -> (u32, &'static str) {
        match self {
            Self::BadArguments => (36, "BAD_ARGUMENTS"),
            Self::ChecksumDoesntMatch => (40, "CHECKSUM_DOESNT_MATCH"),
            Self::NotImplemented => (48, "NOT_IMPLEMENTED"),
            Self::SyntaxError => (62, "SYNTAX_ERROR"),
            Self::UnknownCompressionMethod => (89, "UNKNOWN_COMPRESSION_METHOD"),
            Self::UnknownSetting => (115, "UNKNOWN_SETTING"),
            Self::Readonly => (164, "READONLY"),
            Self::SocketTimeout => (209, "SOCKET_TIMEOUT"),
            Self::NetworkError => (210, "NETWORK_ERROR"),
            Self::QueryIsTooLarge => (229, "QUERY_IS_TOO_LARGE"),
            Self::MemoryLimitExceeded => (241, "MEMORY_LIMIT_EXCEEDED"),
            Self::CannotDecompress => (271, "CANNOT_DECOMPRESS"),
            Self::IntoOutfileNotAllowed => (358, "INTO_OUTFILE_NOT_ALLOWED"),
            Self::QueryIsProhibited => (392, "QUERY_IS_PROHIBITED"),
            Self::CannotScheduleTask => (439, "CANNOT_SCHEDULE_TASK"),
            Self::AuthenticationFailed => (516, "AUTHENTICATION_FAILED"),
        }
    }
}

/// An error in ClickHouse's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: u32,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(code: Code, text: impl std::fmt::Display) -> Self {
        let (number, name) = code.number_and_name();
        Self { code: number, message: format!("Code: {number}. DB::Exception: {text}. ({name})") }
    }

    /// The status that a ClickHouse server answers with.
    pub(super) const fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            // cannot be parsed, or does not fit
            6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167 | 168 | 223 | 321
            | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
            // does not exist
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => StatusCode::NOT_FOUND,
            159 => StatusCode::REQUEST_TIMEOUT,
            229 => StatusCode::PAYLOAD_TOO_LARGE,
            381 => StatusCode::LENGTH_REQUIRED,
            48 => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            779 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Exception> for Fault {
    fn from(exception: Exception) -> Self {
        Self { code: exception.code, message: exception.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_like_the_engines_own_and_has_its_status() {
        let fault = Fault::new(Code::QueryIsTooLarge, "the body is over 1 byte");
        assert_eq!(fault.message, "Code: 229. DB::Exception: the body is over 1 byte. (QUERY_IS_TOO_LARGE)");
        assert_eq!(fault.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(Fault::new(Code::AuthenticationFailed, "").status(), StatusCode::FORBIDDEN);
        assert_eq!(Fault { code: 60, message: String::new() }.status(), StatusCode::NOT_FOUND);
        assert_eq!(Fault { code: 9999, message: String::new() }.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
