//! The signature of a delivery: HMAC-SHA256 over its time and body, so that a receiver knows who sent it, and when.

use crate::base::{clock::Timestamp, secret::Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of the header: `t=<seconds since 1970>,v1=<hexadecimal HMAC of "<t>.<body>">`. Empty only if the secret cannot be a
/// key, which no text is.
pub(super) fn header(secret: &Secret, now: Timestamp, body: &str) -> String {
    let seconds = now.seconds();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_openssl_says() {
        let now = Timestamp::from_millis(1_795_300_000_999);
        let header = header(&Secret::new("whsec_key"), now, r#"{"a":1}"#);
        // printf '1795300000.{"a":1}' | openssl dgst -sha256 -hmac whsec_key
        assert_eq!(header, "t=1795300000,v1=4a1afea5ef93328ce558a913a9d3e231af3c946abc49ef25a21de3220884355c");
    }
}
