//! Check digits: the arithmetic that card, bank and identity numbers share.

/// Luhn's check over all digits.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| {
            let digit = u32::from(*digit);
            match i % 2 {
                0 => digit,
                _ if digit < 5 => digit * 2,
                _ => digit * 2 - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The weighted sum of digits.
pub(super) fn weighted(digits: &[u8], weights: &[i64]) -> i64 {
    digits.iter().zip(weights).map(|(digit, weight)| i64::from(*digit) * weight).sum()
}

/// ISO 7064 MOD 11,10 over all digits, the last one being the check.
pub(super) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let mut product = 10;
    for digit in body {
        let sum = (u32::from(*digit) + product) % 10;
        product = (if sum == 0 { 10 } else { sum } * 2) % 11;
    }
    (11 - product) % 10 == u32::from(*check)
}

/// Verhoeff's check over all digits.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const DIHEDRAL: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const PERMUTED: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let cell = |table: &[[u8; 10]], row: usize, column: u8| -> u8 {
        table.get(row).and_then(|row| row.get(usize::from(column))).copied().unwrap_or(0)
    };
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |check, (i, digit)| cell(&DIHEDRAL, usize::from(check), cell(&PERMUTED, i % 8, *digit)));
    check == 0
}

/// The remainder by 97 of a decimal text in which letters count as 10 to 35 (ISO 7064, IBAN).
pub(super) fn mod_97(text: impl Iterator<Item = u8>) -> Option<u32> {
    let mut rest = 0_u32;
    for byte in text {
        rest = match byte {
            b'0'..=b'9' => rest * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => rest * 100 + u32::from(byte - b'A') + 10,
            b'a'..=b'z' => rest * 100 + u32::from(byte - b'a') + 10,
            _ => return None,
        } % 97;
    }
    Some(rest)
}

/// Whether year (two or four digits), month and day could be a date of birth.
pub(super) fn is_date(month: u64, day: u64) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    0 < day && day <= days
}

/// Shannon's entropy of the bytes, in bits per byte.
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u16; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX).max(1));
    counts
        .iter()
        .filter(|count| **count != 0)
        .map(|count| {
            let share = f64::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect()
    }

    #[test]
    fn each_check_knows_a_right_number_from_a_wrong_one() {
        let cases: &[(&str, fn(&[u8]) -> bool, &str, &str)] = &[
            ("luhn", luhn, "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("mod 11,10", mod_11_10, "86095742719", "86095742718"),
            ("verhoeff", verhoeff, "2363", "2364"),
        ];
        for (name, check, right, wrong) in cases {
            assert!(check(&digits(right)), "{name}: {right}");
            assert!(!check(&digits(wrong)), "{name}: {wrong}");
        }
        assert_eq!(mod_97("WEST12345698765432GB82".bytes()), Some(1));
    }

    #[test]
    fn february_has_no_thirtieth() {
        assert!(is_date(2, 29) && !is_date(2, 30) && !is_date(13, 1) && !is_date(4, 31) && !is_date(1, 0));
    }

    #[test]
    fn entropy_counts_different_bytes() {
        assert!(entropy(b"aaaa") < 0.01);
        assert!((entropy(b"abcd") - 2.0).abs() < 0.01);
    }
}
