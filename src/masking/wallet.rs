//! Addresses of crypto-currencies, by the checks that their formats carry.

use super::{
    kind::{Kind, Rank},
    scan::Scan,
    text::is_word,
    words::Tag,
};
use sha2::{Digest, Sha256};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const RIPPLE58: &[u8; 58] = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Looks at a run of letters and digits.
pub(super) fn find(scan: &mut Scan<'_>, start: usize, end: usize) {
    let text = scan.text;
    let code = text.bytes(start, end);
    if 128 < code.len()
        || code.contains(&b'_')
        || is_word(text.at(end))
        || matches!(text.at(end), b'-' | b'/' | b'+' | b'=')
    {
        return;
    }
    if matches!(text.before(start), b'-' | b'/' | b'+' | b'.')
        && !text.slice(start.saturating_sub(12), start).contains("/address/")
    {
        return;
    }
    let said = || scan.words.around(start, end, Tag::Wallet, 48);
    let proved = is_ether(code) || is_base58check(code) || is_bech32(code) || is_cardano(code) || is_monero(code);
    if proved || (is_plain_base58(code) && said()) {
        scan.add(Kind::CryptoWallet, start, end, Rank::Proved);
    }
}

fn is_ether(code: &[u8]) -> bool {
    code.len() == 42
        && code.starts_with(b"0x")
        && code.iter().skip(2).all(u8::is_ascii_hexdigit)
        && code.iter().skip(2).any(u8::is_ascii_digit)
        && code.get(2..22) != Some(b"00000000000000000000")
}

/// Bitcoin, Litecoin, Dogecoin, Dash, Tron, Ripple: a version, a hash and four bytes of its double SHA-256.
fn is_base58check(code: &[u8]) -> bool {
    if !(25..=36).contains(&code.len()) || !code.first().is_some_and(|first| b"123mnLMDXTrA9".contains(first)) {
        return false;
    }
    let alphabet = if code.first() == Some(&b'r') { RIPPLE58 } else { BASE58 };
    let Some(bytes) = decode58(code, alphabet) else { return false };
    let (body, check) = bytes.split_at(21);
    let hash = Sha256::digest(Sha256::digest(body));
    hash.get(..4) == Some(check)
}

/// Base 58 of exactly 25 bytes.
fn decode58(code: &[u8], alphabet: &[u8; 58]) -> Option<[u8; 25]> {
    let mut bytes = [0_u8; 25];
    for letter in code {
        let mut carry = u32::try_from(alphabet.iter().position(|other| other == letter)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xFF).ok()?;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

/// `SegWit` and Taproot addresses (BIP 173, BIP 350), Litecoin's and Cardano's.
fn is_bech32(code: &[u8]) -> bool {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let lower = code.to_ascii_lowercase();
    let known = [&b"bc1"[..], b"tb1", b"ltc1", b"addr1", b"cosmos1"].into_iter().find(|head| lower.starts_with(head));
    let Some(head) = known else { return false };
    let (human, data) = lower.split_at(head.len() - 1);
    let data = data.get(1..).unwrap_or(&[]);
    let mut check = 1_u32;
    let mut step = |value: u32| {
        let top = check >> 25;
        check = ((check & 0x01FF_FFFF) << 5) ^ value;
        for (i, generator) in GENERATOR.iter().enumerate() {
            if (top >> i) & 1 == 1 {
                check ^= generator;
            }
        }
    };
    for byte in human {
        step(u32::from(*byte) >> 5);
    }
    step(0);
    for byte in human {
        step(u32::from(*byte) & 31);
    }
    for letter in data {
        let Some(value) = BECH32.iter().position(|other| other == letter) else { return false };
        step(u32::try_from(value).unwrap_or(0));
    }
    32 <= data.len() && matches!(check, 1 | 0x2bc8_30a3)
}

/// Cardano's addresses by their form: the head is telling, and no other text has it.
fn is_cardano(code: &[u8]) -> bool {
    let body = code.strip_prefix(b"addr1").or_else(|| code.strip_prefix(b"stake1")).unwrap_or(&[]);
    (50..=108).contains(&body.len()) && body.iter().all(|byte| BECH32.contains(byte))
}

fn is_monero(code: &[u8]) -> bool {
    matches!(code.len(), 95 | 106)
        && matches!(code.first(), Some(b'4' | b'8'))
        && code.iter().all(|byte| BASE58.contains(byte))
}

/// Solana's addresses and others have no check; only a word beside them tells.
fn is_plain_base58(code: &[u8]) -> bool {
    (25..=44).contains(&code.len())
        && code.iter().all(|byte| BASE58.contains(byte))
        && code.iter().any(u8::is_ascii_digit)
        && code.iter().any(u8::is_ascii_uppercase)
        && code.iter().any(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formats_check_themselves() {
        assert!(is_base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
        assert!(!is_base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"));
        assert!(is_base58check(b"rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"));
        assert!(is_bech32(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        assert!(!is_bech32(b"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"));
        assert!(is_bech32(b"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"));
    }
}
