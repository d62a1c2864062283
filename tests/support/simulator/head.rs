//! The head of a request or an answer, exactly as it was on the wire, and ways to look into it.

use std::fmt;

/// From the first byte to the empty line, both included.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Head(pub Vec<u8>);

impl Head {
    /// The request line or the status line. Empty when it is not UTF-8, like every line that is not.
    pub fn first_line(&self) -> &str {
        self.all_lines().next().unwrap_or_default()
    }

    /// The part of the first line with that index: a request's method, target and version, an answer's version and status.
    pub fn word(&self, index: usize) -> &str {
        self.first_line().split(' ').nth(index).unwrap_or_default()
    }

    /// The header lines as they are, without their line ends.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.all_lines().skip(1).filter(|line| !line.is_empty())
    }

    /// All values of a header, in order.
    pub fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.lines().filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim_matches([' ', '\t']))
        })
    }

    /// The first value of a header.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    fn all_lines(&self) -> impl Iterator<Item = &str> {
        self.0
            .split(|byte| *byte == b'\n')
            .map(|line| std::str::from_utf8(line).unwrap_or_default())
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}
