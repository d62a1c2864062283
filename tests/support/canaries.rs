//! Secrets must stay where they belong: credentials never reach a caller or a log, gateway keys never reach a provider or
//! a log. Bytes are searched as they pass; what was found is told at the end of the gateway's life.

use parking_lot::Mutex;

/// Characters of a gateway key after its prefix that may be shown.
const SHOWN_MAX: usize = 8;

/// The secrets to look for, and where they were found.
#[derive(Debug, Default)]
pub struct Canaries {
    credentials: Vec<String>,
    found: Mutex<Vec<String>>,
}

impl Canaries {
    /// Looks for these credentials, and for every gateway key.
    pub fn new(credentials: Vec<String>) -> Self {
        Self { credentials, found: Mutex::default() }
    }

    /// The longest secret: how far back to search when bytes come in pieces.
    pub fn overlap(&self) -> usize {
        self.credentials.iter().map(String::len).max().unwrap_or_default().max(64)
    }

    /// Searches what a caller received.
    pub fn caller_received(&self, bytes: &[u8]) {
        self.search_credentials("a caller", bytes);
    }

    /// Searches a line that the program wrote.
    pub fn logged(&self, line: &str) {
        self.search_credentials("a log", line.as_bytes());
        self.search_keys("a log", line.as_bytes());
    }

    /// Searches what a provider received.
    pub fn provider_received(&self, what: &str, bytes: &[u8]) {
        self.search_keys(what, bytes);
    }

    /// What was found.
    pub fn found(&self) -> Vec<String> {
        self.found.lock().clone()
    }

    fn search_credentials(&self, place: &str, bytes: &[u8]) {
        for credential in &self.credentials {
            if let Some(at) = memchr::memmem::find(bytes, credential.as_bytes()) {
                self.note(place, credential, bytes, at);
            }
        }
    }

    fn search_keys(&self, place: &str, bytes: &[u8]) {
        for prefix in ["gw_live_", "gw_test_"] {
            for at in memchr::memmem::find_iter(bytes, prefix) {
                let secret = bytes[at + prefix.len()..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
                if secret > SHOWN_MAX {
                    self.note(place, "a gateway key", bytes, at);
                }
            }
        }
    }

    fn note(&self, place: &str, what: &str, bytes: &[u8], at: usize) {
        let context = &bytes[at.saturating_sub(60)..bytes.len().min(at + 80)];
        self.found.lock().push(format!("{place} got {what}: …{}…", String::from_utf8_lossy(context)));
    }
}
