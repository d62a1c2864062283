//! Secrets stand in the files by reference only: `env:NAME` or `file:PATH`. No fault ever shows a value.

use super::fields::Item;
use crate::base::secret::Secret;
use std::{fs, io::Read, path::Path};

/// The largest secret file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// What a reference led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The secret itself.
    Found(Secret),
    /// Nothing is there yet; the text says what would have to be set.
    NotSet(String),
}

/// Follows the reference. `None` when it is a fault, which is then noted.
pub(super) fn look_up(item: &Item<'_>) -> Option<Lookup> {
    let Some(reference) = item.written() else {
        item.fault("expected env:NAME or file:PATH (the value is not shown)");
        return None;
    };
    let found = if let Some(name) = reference.strip_prefix("env:") {
        from_variable(item, name)
    } else if let Some(path) = reference.strip_prefix("file:") {
        from_file(path)
    } else {
        Err("expected env:NAME or file:PATH, found the secret itself (not shown): \
             move it to a variable or a file, and replace it, since it may have been seen"
            .to_owned())
    };
    found.map_err(|problem| item.fault(problem)).ok()
}

fn from_variable(item: &Item<'_>, name: &str) -> Result<Lookup, String> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(valid) {
        return Err("expected the name of a variable after env: (the value is not shown)".to_owned());
    }
    match item.source().variable(name) {
        Some(text) if !text.trim().is_empty() => checked(&text, name),
        _ => Ok(Lookup::NotSet(format!("the variable {name} is not set"))),
    }
}

fn from_file(path: &str) -> Result<Lookup, String> {
    let file = Path::new(path);
    let Ok(metadata) = fs::metadata(file) else {
        return Ok(Lookup::NotSet(format!("the file {path} is missing or must not be read")));
    };
    if !metadata.is_file() {
        return Err(format!("{path} is not a file"));
    }
    let mut text = String::new();
    let opened = fs::File::open(file).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
    match opened {
        Err(error) => Err(format!("{path} cannot be read: {error}")),
        Ok(read) if read > usize::try_from(SECRET_BYTES_MAX).unwrap_or(usize::MAX) => {
            Err(format!("{path} is larger than {SECRET_BYTES_MAX} bytes"))
        }
        Ok(_) if text.trim().is_empty() => Ok(Lookup::NotSet(format!("the file {path} is empty"))),
        Ok(_) => checked(&text, path),
    }
}

/// A secret goes into a header: it must be one line of visible ASCII.
fn checked(text: &str, place: &str) -> Result<Lookup, String> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Lookup::Found(Secret::new(text)))
    } else {
        Err(format!("the secret in {place} has spaces, line breaks or characters that a header cannot carry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{fields::Source, yaml};

    fn look(text: &str) -> (Option<Lookup>, Vec<String>) {
        let env = |name: &str| match name {
            "SET" => Some("sk-1\n".to_owned()),
            "EMPTY" => Some("  ".to_owned()),
            "ODD" => Some("sk 1".to_owned()),
            _ => None,
        };
        let mut syntax = Vec::new();
        let root = yaml::parse("f", format!("s: {text}").as_bytes(), &mut syntax).unwrap();
        let source = Source::new("f", &env);
        let found = source.read(&root, |f| f.raw("s").and_then(|item| look_up(&item)));
        (found, source.into_faults().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_reference_is_followed_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "sk-2\n").unwrap();
        assert_eq!(look("env:SET"), (Some(Lookup::Found(Secret::new("sk-1"))), vec![]));
        assert_eq!(look(&format!("file:{}", file.display())), (Some(Lookup::Found(Secret::new("sk-2"))), vec![]));
    }

    #[test]
    fn what_is_not_set_says_what_would_have_to_be_set() {
        for text in ["env:UNSET", "env:EMPTY"] {
            let (found, faults) = look(text);
            assert!(matches!(&found, Some(Lookup::NotSet(what)) if what.contains("variable")), "{found:?}");
            assert!(faults.is_empty());
        }
        let (found, faults) = look("file:/nonexistent/key");
        assert!(matches!(&found, Some(Lookup::NotSet(what)) if what.contains("/nonexistent/key")));
        assert!(faults.is_empty());
    }

    #[test]
    fn a_literal_secret_is_a_fault_that_does_not_show_it() {
        for text in
            ["sk-very-secret", "'sk-very-secret'", "[sk-very-secret]", "{sk-very-secret: 1}", "env:sk-very-secret"]
        {
            let (found, faults) = look(text);
            assert_eq!(found, None, "{text}");
            assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.contains("sk-very-secret")), "{faults:?}");
        }
    }

    #[test]
    fn a_secret_that_no_header_can_carry_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        fs::write(&large, "x".repeat(70_000)).unwrap();
        let binary = folder.path().join("binary");
        fs::write(&binary, b"\xff\xfe").unwrap();
        for text in [
            "env:ODD".to_owned(),
            format!("file:{}", large.display()),
            format!("file:{}", binary.display()),
            format!("file:{}", folder.path().display()),
        ] {
            let (found, faults) = look(&text);
            assert_eq!((found, faults.len()), (None, 1), "{text}");
        }
    }
}
