//! What an error of the store means to us. Its text may hold rows or parameters, so it goes no further than here:
//! logs get the kind and ClickHouse's number.

use clickhouse::error::Error;

/// What to do about a failed insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The store or the way to it: the same batch will do later.
    Store,
    /// The batch itself: trying again will fail again.
    Batch,
}

/// ClickHouse's numbers for data that does not parse, convert or fit.
const BATCH_CODES: [u32; 17] = [6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 128, 131, 190, 321, 349];

/// ClickHouse's number of an error: 47 of `Code: 47. DB::Exception: …`.
pub(super) fn code(error: &Error) -> Option<u32> {
    let Error::BadResponse(text) = error else { return None };
    let digits = text.trim_start().strip_prefix("Code:")?.trim_start();
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whose fault a failed insert is.
pub(super) fn blame(error: &Error) -> Blame {
    match error {
        Error::Custom(_)
        | Error::SequenceMustHaveLength
        | Error::InvalidTagEncoding(_)
        | Error::VariantDiscriminatorIsOutOfBound(_) => Blame::Batch,
        _ if code(error).is_some_and(|code| BATCH_CODES.contains(&code)) => Blame::Batch,
        _ => Blame::Store,
    }
}

/// An error without what it quotes: fit for logs.
pub(super) fn describe(error: &Error) -> String {
    match (error, code(error)) {
        (_, Some(code)) => format!("ClickHouse error {code}"),
        (Error::Network(source), _) => format!("no connection: {source}"),
        (Error::TimedOut, _) => "no answer in time".into(),
        (Error::SchemaMismatch(_), _) => "the table's columns are not the expected ones".into(),
        (Error::BadResponse(_), _) => "an answer that is not ClickHouse's".into(),
        _ => "the row format was not understood".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> Error {
        Error::BadResponse(text.into())
    }

    #[test]
    fn reads_clickhouses_number_and_nothing_else() {
        assert_eq!(code(&bad("Code: 47. DB::Exception: Missing columns: 'secret'")), Some(47));
        assert_eq!(code(&bad("502 Bad Gateway")), None);
        assert_eq!(code(&Error::TimedOut), None);
        assert_eq!(describe(&bad("Code: 27. DB::Exception: Cannot parse 'secret'")), "ClickHouse error 27");
        assert!(!describe(&bad("<html>secret")).contains("secret"));
    }

    #[test]
    fn only_faults_of_the_data_are_blamed_on_the_batch() {
        assert_eq!(blame(&bad("Code: 117. DB::Exception: Incorrect data")), Blame::Batch);
        for error in [bad("Code: 241. DB::Exception: Memory limit"), bad("502 Bad Gateway"), Error::TimedOut] {
            assert_eq!(blame(&error), Blame::Store, "{error}");
        }
    }
}
