//! Addresses of machines: IPv4, IPv6, MAC.

use super::{
    kind::{Kind, Rank},
    number::{Cluster, Joint, Number},
    scan::Scan,
    text::is_word,
    words::Tag,
};
use std::net::Ipv6Addr;

/// The longest text of an IPv6 address.
const COLONS_MAX: usize = 46;

/// An IPv4 address among the groups of a cluster: four in a row with dots, and no dot beyond; how many groups it took.
pub(super) fn find_dotted(scan: &mut Scan<'_>, cluster: &Cluster) -> usize {
    let mut taken = 0;
    for first in 0..cluster.len().saturating_sub(3) {
        let number = cluster.number(first, first + 3);
        let dots = (1..4).all(|i| number.joint_before(i) == Joint::Dot);
        let begins = first == 0 || number.joint_before(0) != Joint::Dot;
        let ends = first + 4 == cluster.len() || cluster.number(first + 4, first + 4).joint_before(0) != Joint::Dot;
        if !dots || !begins || !ends || number.plus {
            continue;
        }
        let (start, end) =
            (number.groups.first().map_or(0, |group| group.start), number.groups.last().map_or(0, |group| group.end));
        let mut at = 0;
        let octets = number.groups.iter().all(|group| {
            let (from, zero) = (at, number.digit(at) == 0);
            at += group.len;
            group.len <= 3 && number.value(from, at) <= 255 && !(zero && 1 < group.len)
        });
        if octets
            && !reserved(number.value(0, number.group_len(0)), scan.text.slice(start, end))
            && stands_alone(scan, start, end)
            && !versioned(scan, start, end, &number)
        {
            scan.add(Kind::IpAddress, start, end, Rank::Shaped);
            taken = first + 4;
        }
    }
    taken
}

/// Addresses that name no machine of anyone.
fn reserved(first: u64, text: &str) -> bool {
    first == 0 || first == 127 || text == "255.255.255.255" || text.starts_with("255.255.")
}

fn stands_alone(scan: &Scan<'_>, start: usize, end: usize) -> bool {
    let text = scan.text;
    let (after, later) = (text.at(end), text.at(end + 1));
    let left = !is_word(text.before(start)) && text.before(start) != b'.';
    let right = match after {
        b'.' => !later.is_ascii_alphanumeric(),
        b'-' => !later.is_ascii_alphabetic(),
        b'+' => false,
        _ => !is_word(after) || after == b'_',
    };
    left && right
}

/// Whether what looks like an IPv4 address is the number of a release or of a section.
fn versioned(scan: &Scan<'_>, start: usize, end: usize, number: &Number<'_>) -> bool {
    let text = scan.text;
    let (before, earlier) = (text.before(start), text.before(start.saturating_sub(1)));
    let operator =
        matches!(before, b'=' | b'<' | b'>' | b'~' | b'^') && matches!(earlier, b'=' | b'<' | b'>' | b'~' | b'!');
    // Chrome/120.0.0.0, package@1.2.3.4, name-1.2.3.4
    let product = match before {
        b'/' => {
            is_word(earlier)
                && !scan.words.before(start, 60, |tag| (tag == Tag::Scheme).then_some(())).is_some_and(
                    |((), distance)| {
                        distance < 60 && !text.slice(start - distance, start).contains(char::is_whitespace)
                    },
                )
        }
        b'-' => earlier.is_ascii_alphabetic(),
        _ => false,
    };
    if operator || product {
        return true;
    }
    let octets = octets(number);
    let address = scan.words.around(start, end, Tag::Ip, 32);
    let addressed = matches!(text.at(end), b':' | b'/') && text.at(end + 1).is_ascii_digit();
    if let Some(near) = version_before(scan, start) {
        // Numbers of releases are small; what is large is denied by the nearest word only.
        return near || !addressed && large(octets) < 2 && !nearer_address(scan, start);
    }
    let clause = octets.iter().all(|octet| *octet < 20) && !PUBLIC.contains(&octets) && !matches!(octets, [10, ..]);
    let version = |tag: Tag| (tag == Tag::Version).then_some(());
    let behind = scan
        .words
        .after(end, 14, version)
        .is_some_and(|((), distance)| !text.slice(end, end + distance).contains(['\n', '.', ';']));
    !address && !addressed && (clause || (behind && large(octets) < 2))
}

/// Name servers that everybody knows.
const PUBLIC: &[[u64; 4]] = &[[1, 1, 1, 1], [1, 0, 0, 1], [8, 8, 8, 8], [8, 8, 4, 4], [9, 9, 9, 9]];

fn octets(number: &Number<'_>) -> [u64; 4] {
    let mut at = 0;
    [0, 1, 2, 3].map(|i| {
        let from = at;
        at += number.group_len(i);
        number.value(from, at)
    })
}

fn large(octets: [u64; 4]) -> usize {
    octets.iter().filter(|octet| 100 <= **octet).count()
}

/// A word about releases before a place, on its line, and whether it stands right before it.
fn version_before(scan: &Scan<'_>, start: usize) -> Option<bool> {
    let text = scan.text;
    let version = |tag: Tag| (tag == Tag::Version).then_some(());
    let ((), distance) = scan.words.before(start, 32, version)?;
    let place = start - distance;
    let between = text.slice(place, start);
    let word = text.slice(text.run_back(place, 16, |byte| byte.is_ascii_alphabetic()), place).to_ascii_lowercase();
    let verb = ["upgrade", "update", "downgrade", "patch"].iter().any(|verb| word.starts_with(verb));
    // -sV, -v
    let flag = word.len() <= 2 && matches!(text.before(place - word.len()), b'-');
    let mut joints = between.split(|letter: char| !letter.is_alphabetic()).filter(|joint| !joint.is_empty());
    let away = joints.clone().any(|joint| matches!(joint, "on" | "at" | "against" | "with" | "via" | "by" | "for"));
    let leads = joints.clone().next_back().is_some_and(|joint| matches!(joint, "to" | "from" | "version" | "v"));
    if flag || away || between.contains(['\n', ';']) || (verb && !leads) {
        return None;
    }
    Some(!verb && joints.all(|joint| matches!(joint, "v" | "is" | "was" | "no" | "number" | "ist" | "est")))
}

/// Whether a word about addresses stands nearer than the one about releases.
fn nearer_address(scan: &Scan<'_>, start: usize) -> bool {
    let distance = |wanted: Tag| {
        scan.words.before(start, 32, |tag| (tag == wanted).then_some(())).map_or(usize::MAX, |((), distance)| distance)
    };
    distance(Tag::Ip) <= distance(Tag::Version)
}

/// A MAC or IPv6 address that begins with the run of letters and digits at a place; where the reading may go on.
pub(super) fn find(scan: &mut Scan<'_>, start: usize, end: usize) -> usize {
    let text = scan.text;
    if is_word(text.before(start)) {
        return 0;
    }
    match text.at(end) {
        b':' => find_colons(scan, start),
        b'-' | b'.' => find_mac(scan, start, text.at(end)),
        _ if text.dash(end) != 0 && end - start == 2 => 0,
        _ => 0,
    }
}

/// The whole run of hexadecimal digits, colons and dots at a place, if it is an address; where it ends.
pub(super) fn find_colons(scan: &mut Scan<'_>, start: usize) -> usize {
    let text = scan.text;
    let mut end = text.run(start, usize::MAX - start, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let whole = end;
    while start < end
        && matches!(text.before(end), b':' | b'.')
        && !(text.before(end) == b':' && text.before(end - 1) == b':')
    {
        end -= 1;
    }
    let before = text.before(start);
    if COLONS_MAX < end - start || is_word(text.at(end)) || matches!(before, b':' | b'.') {
        return whole;
    }
    let address = text.slice(start, end);
    if mac_pairs(address.as_bytes(), b':') {
        add_mac(scan, start, end);
    } else if is_ipv6(scan, address, start, end) {
        scan.add(Kind::IpAddress, start, end, Rank::Proved);
    } else if let Some(port) = address.rfind(':').filter(|_| text.before(start) != b'[') {
        // host:port with a bare IPv6 address is not told apart; 10.0.0.1:443 is read by its digits.
        let _ = port;
    }
    whole
}

fn is_ipv6(scan: &Scan<'_>, address: &str, start: usize, end: usize) -> bool {
    let Ok(parsed) = address.parse::<Ipv6Addr>() else { return false };
    let groups = address.split(':').filter(|group| !group.is_empty()).count();
    let digits = address.bytes().any(|byte| byte.is_ascii_digit());
    if parsed.is_loopback() || parsed.is_unspecified() {
        return false;
    }
    // Short forms are also words of programming languages, times and ratios.
    let wide = address.split(':').any(|group| 3 <= group.len());
    (3 <= groups && digits && wide)
        || (groups == 8 && wide)
        || (2 <= groups && wide && digits && address.contains("::"))
        || (scan.words.around(start, end, Tag::Ip, 24) && wide)
}

fn mac_pairs(bytes: &[u8], mark: u8) -> bool {
    bytes.len() == 17
        && bytes.iter().enumerate().all(|(i, byte)| if i % 3 == 2 { *byte == mark } else { byte.is_ascii_hexdigit() })
}

/// 1c-2d-7e-be-88-b2, 1c2d.7ebe.88b2; where the reading may go on.
fn find_mac(scan: &mut Scan<'_>, start: usize, mark: u8) -> usize {
    let text = scan.text;
    if mark == b'-' && mac_pairs(text.bytes(start, start + 17), b'-') {
        let end = start + 17;
        let more = text.at(end) == b'-' && is_word(text.at(end + 1));
        if !is_word(text.at(end)) && !more && text.before(start) != b'-' {
            add_mac(scan, start, end);
        }
        return end;
    }
    let cisco = text.bytes(start, start + 14);
    let fits = cisco.len() == 14
        && cisco.iter().enumerate().all(|(i, byte)| if i % 5 == 4 { *byte == b'.' } else { byte.is_ascii_hexdigit() });
    if fits
        && !is_word(text.at(start + 14))
        && !(text.at(start + 14) == b'.' && is_word(text.at(start + 15)))
        && text.before(start) != b'.'
    {
        let letters = cisco.iter().any(u8::is_ascii_alphabetic);
        if letters || scan.words.around(start, start + 14, Tag::Mac, 24) {
            add_mac(scan, start, start + 14);
        }
        return start + 14;
    }
    0
}

/// A5F9EDB05B41 right behind its name.
pub(super) fn find_bare_mac(scan: &mut Scan<'_>, start: usize, end: usize) {
    if scan.text.bytes(start, end).iter().all(u8::is_ascii_hexdigit) && scan.labelled(start, Tag::Mac) {
        add_mac(scan, start, end);
    }
}

/// Broadcast and empty addresses belong to no device.
fn add_mac(scan: &mut Scan<'_>, start: usize, end: usize) {
    let digits = scan.text.bytes(start, end).iter().filter(|byte| byte.is_ascii_hexdigit());
    let first = digits.clone().next().map(u8::to_ascii_lowercase);
    let same = digits.clone().all(|byte| Some(byte.to_ascii_lowercase()) == first);
    if !(same && matches!(first, Some(b'f' | b'0'))) {
        scan.add(Kind::MacAddress, start, end, Rank::Proved);
    }
}
