//! Tokens and keys that their issuers begin with a known prefix, and AWS secret keys, which have none.

use super::{
    checks::entropy,
    context::Hit,
    kind::{Kind, Rank},
    scan::Scan,
    text::{is_base64, is_word},
    words::Tag,
};

/// Which bytes follow a prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Hex,
    /// Letters and digits.
    Plain,
    /// Capitals and digits.
    Upper,
    /// Letters, digits, `_`, `-`.
    Url,
    /// Letters, digits, `_`, `-`, `.`
    Dotted,
    /// Letters, digits, `+`, `/`, `=`, `-`, `_`, `.`
    Base64,
}

/// A prefix and what must follow it.
pub(super) struct Prefix {
    pub(super) text: &'static str,
    kind: Kind,
    body: Body,
    least: usize,
    most: usize,
}

const fn token(text: &'static str, body: Body, least: usize, most: usize) -> Prefix {
    Prefix { text, kind: Kind::SecretToken, body, least, most }
}

const fn openai(text: &'static str, least: usize) -> Prefix {
    Prefix { text, kind: Kind::OpenaiApiKey, body: Body::Url, least, most: 256 }
}

const fn github(text: &'static str, body: Body, least: usize) -> Prefix {
    Prefix { text, kind: Kind::GithubToken, body, least, most: 255 }
}

const fn aws(text: &'static str) -> Prefix {
    Prefix { text, kind: Kind::AwsAccessKeyId, body: Body::Upper, least: 16, most: 16 }
}

use Body::{Base64, Dotted, Hex, Plain, Upper, Url};

/// Longer prefixes stand before shorter ones that begin them.
pub(super) const PREFIXES: &[Prefix] = &[
    token("sk-ant-", Url, 20, 200),
    token("sk-or-v1-", Hex, 32, 64),
    token("sk-or-", Url, 32, 80),
    token("sk-lf-", Url, 32, 40),
    token("pk-lf-", Url, 32, 40),
    openai("sk-proj-", 20),
    openai("sk-svcacct-", 20),
    openai("sk-admin-", 20),
    openai("sk-None-", 20),
    openai("sk-service-", 20),
    openai("sk-", 20),
    openai("sess-", 40),
    github("github_pat_", Url, 22),
    github("ghp_", Plain, 30),
    github("gho_", Plain, 30),
    github("ghu_", Plain, 30),
    github("ghs_", Plain, 30),
    github("ghr_", Plain, 30),
    aws("AKIA"),
    aws("ASIA"),
    aws("ABIA"),
    aws("ACCA"),
    aws("AGPA"),
    aws("AIDA"),
    aws("AROA"),
    aws("AIPA"),
    aws("ANPA"),
    aws("ANVA"),
    aws("APKA"),
    token("ABSK", Base64, 80, 160),
    token("glpat-", Dotted, 20, 300),
    token("gldt-", Url, 20, 64),
    token("glrt-", Dotted, 20, 64),
    token("glcbt-", Url, 20, 80),
    token("glptt-", Url, 20, 64),
    token("glft-", Url, 20, 64),
    token("glsoat-", Url, 20, 64),
    token("glimt-", Url, 20, 64),
    token("glagent-", Url, 40, 64),
    token("gloas-", Url, 40, 80),
    token("GR1348941", Url, 20, 40),
    token("xoxb-", Url, 20, 120),
    token("xoxp-", Url, 20, 160),
    token("xoxa-", Url, 20, 160),
    token("xoxr-", Url, 20, 160),
    token("xoxs-", Url, 20, 160),
    token("xoxe-", Url, 20, 200),
    token("xoxe.xox", Dotted, 20, 220),
    token("xoxc-", Url, 20, 160),
    token("xoxd-", Base64, 20, 300),
    token("xapp-", Url, 20, 160),
    token("sk_live_", Plain, 16, 160),
    token("sk_test_", Plain, 16, 160),
    token("rk_live_", Plain, 16, 160),
    token("rk_test_", Plain, 16, 160),
    token("pk_live_", Plain, 16, 160),
    token("pk_test_", Plain, 16, 160),
    token("whsec_", Base64, 24, 80),
    token("sk-gw_", Url, 16, 120),
    token("sk_", Hex, 32, 80),
    token("AIza", Url, 33, 40),
    token("GOCSPX-", Url, 20, 40),
    token("ya29.", Dotted, 20, 2048),
    token("1//0", Url, 30, 120),
    token("AQ.Ab8", Url, 30, 80),
    token("npm_", Plain, 30, 64),
    token("pypi-", Url, 30, 400),
    token("SG.", Dotted, 40, 80),
    token("SK", Hex, 32, 32),
    token("key-", Hex, 32, 32),
    token("hf_", Plain, 30, 64),
    token("api_org_", Plain, 30, 64),
    token("dop_v1_", Hex, 40, 64),
    token("doo_v1_", Hex, 40, 64),
    token("dor_v1_", Hex, 40, 64),
    token("shpat_", Hex, 30, 40),
    token("shpca_", Hex, 30, 40),
    token("shppa_", Hex, 30, 40),
    token("shpss_", Hex, 30, 40),
    token("shptka_", Hex, 30, 64),
    token("dapi", Hex, 32, 36),
    token("hvs.", Url, 20, 320),
    token("hvb.", Url, 20, 400),
    token("hvr.", Url, 20, 400),
    token("dp.pt.", Plain, 30, 64),
    token("dp.st.", Dotted, 30, 80),
    token("dp.ct.", Plain, 30, 64),
    token("dp.sa.", Plain, 30, 64),
    token("lin_api_", Plain, 30, 64),
    token("lin_oauth_", Plain, 30, 80),
    token("secret_", Plain, 40, 50),
    token("ntn_", Plain, 40, 64),
    token("gsk_", Plain, 40, 80),
    token("xai-", Plain, 40, 120),
    token("r8_", Plain, 30, 64),
    token("pplx-", Plain, 40, 80),
    token("fw_", Plain, 20, 64),
    token("nvapi-", Url, 40, 120),
    token("tvly-", Url, 20, 80),
    token("csk-", Plain, 30, 80),
    token("figd_", Url, 36, 80),
    token("figo_", Url, 36, 80),
    token("PMAK-", Url, 50, 80),
    token("rdme_", Plain, 60, 90),
    token("sntrys_", Base64, 60, 400),
    token("sntryu_", Hex, 60, 80),
    token("nfp_", Plain, 30, 60),
    token("vcp_", Plain, 24, 80),
    token("ATATT3", Base64, 60, 300),
    token("ATCTT3", Base64, 60, 300),
    token("ATBB", Plain, 28, 40),
    token("EAACEdEose0cBA", Plain, 20, 400),
    token("EAA", Plain, 90, 400),
    token("sq0atp-", Url, 22, 40),
    token("sq0csp-", Url, 40, 60),
    token("EAAA", Url, 58, 66),
    token("access_token$production$", Plain, 32, 64),
    token("amzn.mws.", Url, 30, 60),
    token("NRAK-", Upper, 27, 27),
    token("NRJS-", Hex, 19, 24),
    token("NRII-", Url, 30, 40),
    token("glc_", Base64, 32, 400),
    token("glsa_", Url, 40, 60),
    token("eyJrIjoi", Base64, 60, 400),
    token("AGE-SECRET-KEY-1", Upper, 50, 64),
    token("pul-", Hex, 40, 40),
    token("rubygems_", Hex, 48, 48),
    token("dckr_pat_", Url, 24, 40),
    token("dckr_oat_", Url, 24, 60),
    token("atlasv1.", Url, 40, 80),
    token("tfp_", Url, 40, 80),
    token("tskey-", Url, 20, 120),
    token("v1.0-", Hex, 100, 180),
    token("sbp_", Hex, 40, 40),
    token("sb_secret_", Url, 20, 60),
    token("re_", Url, 20, 40),
    token("phc_", Plain, 40, 50),
    token("phx_", Plain, 40, 50),
    token("pat-na1-", Url, 30, 60),
    token("pat-eu1-", Url, 30, 60),
    token("xkeysib-", Url, 60, 100),
    token("mlsn.", Hex, 60, 70),
    token("lsv2_pt_", Url, 32, 60),
    token("lsv2_sk_", Url, 32, 60),
    token("jina_", Url, 40, 80),
    token("pcsk_", Url, 40, 90),
    token("co_", Plain, 38, 42),
    token("pscale_tkn_", Url, 30, 60),
    token("pscale_pw_", Url, 30, 60),
    token("pscale_oauth_", Url, 30, 60),
    token("tgp_v1_", Url, 36, 60),
    token("FlyV1 fm1_", Base64, 60, 2000),
    token("FlyV1 fm2_", Base64, 60, 2000),
    token("rnd_", Plain, 24, 40),
    token("FLWSECK-", Url, 20, 60),
    token("FLWSECK_TEST-", Url, 20, 60),
    token("rzp_live_", Plain, 14, 24),
    token("rzp_test_", Plain, 14, 24),
    token("EZAK", Plain, 50, 60),
    token("EZTK", Plain, 50, 60),
    token("duffel_live_", Url, 36, 60),
    token("duffel_test_", Url, 36, 60),
    token("shippo_live_", Hex, 36, 44),
    token("shippo_test_", Hex, 36, 44),
    token("fio-u-", Url, 56, 80),
    token("dt0c01.", Dotted, 60, 110),
    token("dt0s16.", Dotted, 60, 110),
    token("LTAI", Plain, 16, 24),
    token("AQVN", Url, 34, 40),
    token("t1.9euelZ", Base64, 60, 300),
    token("y0_", Url, 36, 70),
    token("ops_eyJ", Base64, 100, 1000),
    token("pnu_", Plain, 32, 40),
    token("CLOJARS_", Plain, 50, 64),
    token("AKCp", Plain, 60, 76),
    token("sqp_", Hex, 40, 40),
    token("sqa_", Hex, 40, 40),
    token("squ_", Hex, 40, 40),
    token("bkua_", Hex, 40, 40),
    token("CCIPAT_", Url, 40, 100),
    token("CCIPRJ_", Url, 40, 100),
    token("HRKU-", Url, 36, 80),
    token("CFPAT-", Url, 40, 60),
    token("sgp_", Url, 40, 70),
    token("sk.eyJ", Dotted, 60, 140),
    token("endr+", Plain, 16, 24),
    token("oy2", Plain, 43, 43),
    token("API-", Upper, 24, 32),
    token("IGQV", Base64, 60, 300),
    token("AAAAAAAAAAAAAAAAAAAA", Base64, 60, 120),
    token("sdk-", Url, 36, 36),
    token("live_", Hex, 35, 40),
    token("/IncomingWebhook/", Base64, 60, 80),
    token("AccountKey=", Base64, 60, 100),
    token("SharedAccessKey=", Base64, 30, 100),
    token("sig=", Base64, 40, 80),
    token("hooks.slack.com/services/", Base64, 30, 90),
    token("discord.com/api/webhooks/", Base64, 60, 120),
    token("discordapp.com/api/webhooks/", Base64, 60, 120),
];

/// The token behind a prefix.
pub(super) fn find(scan: &mut Scan<'_>, hit: Hit, index: u8) {
    let text = scan.text;
    let Some(prefix) = PREFIXES.get(usize::from(index)) else { return };
    let named = prefix.text.ends_with('=') || prefix.text.ends_with('/');
    if !(text.is(hit.start, prefix.text.as_bytes()) || (named && text.is_caseless(hit.start, prefix.text.as_bytes()))) {
        return;
    }
    let before = text.before(hit.start);
    if (is_word(before) && !escaped(scan, hit.start)) || (matches!(before, b'-' | b'.' | b'+') && !named) {
        return;
    }
    let mut end = text.run(hit.end, prefix.most + 1, |byte| prefix.body.holds(byte));
    while hit.end < end
        && matches!(text.before(end), b'.' | b'-' | b'=')
        && prefix.body != Body::Url
        && !text.is(end - 1, b"=")
    {
        end -= 1;
    }
    let body = text.bytes(hit.end, end);
    if body.len() < prefix.least || prefix.most < body.len() || (is_word(text.at(end)) && prefix.body != Body::Hex) {
        return;
    }
    if prefix.body == Body::Hex && (is_word(text.at(end)) || text.at(end) == b'-' && is_word(text.at(end + 1))) {
        return;
    }
    if !random(body, prefix.body) {
        return;
    }
    let start = if named { hit.end } else { hit.start };
    scan.add(prefix.kind, start, end, Rank::Proved);
}

/// A token after `\n`, `\t` or `\r` in an escaped text.
fn escaped(scan: &Scan<'_>, start: usize) -> bool {
    matches!(scan.text.before(start), b'n' | b't' | b'r') && scan.text.before(start.saturating_sub(1)) == b'\\'
}

impl Body {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Url => is_word(byte) || byte == b'-',
            Self::Dotted => is_word(byte) || matches!(byte, b'-' | b'.'),
            Self::Base64 => is_base64(byte) || matches!(byte, b'=' | b'.' | b'%'),
        }
    }
}

/// Whether a body was drawn at random: no words, no row of one letter, no `your-key-here`.
fn random(body: &[u8], alphabet: Body) -> bool {
    if is_dummy(body) {
        return false;
    }
    let digits = body.iter().filter(|byte| byte.is_ascii_digit()).count();
    let upper = body.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let lower = body.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    let least = if alphabet == Body::Hex {
        2.2
    } else if body.len() < 24 {
        2.8
    } else {
        3.2
    };
    let mixed = digits != 0 || (upper != 0 && lower != 0) || alphabet == Body::Upper;
    // kebab-case-names-are-no-tokens
    let words = body.split(|byte| matches!(byte, b'-' | b'_')).filter(|word| !word.is_empty());
    let wordy = digits * 12 < body.len() && upper * 12 < body.len() && words.count() * 12 > body.len();
    mixed && !wordy && least <= entropy(body)
}

/// Text that stands in the place of a secret in examples.
pub(super) fn is_dummy(value: &[u8]) -> bool {
    const DUMMIES: &[&[u8]] = &[
        b"your",
        b"xxxx",
        b"example",
        b"placeholder",
        b"changeme",
        b"change_me",
        b"change-me",
        b"redacted",
        b"dummy",
        b"insert",
        b"replace",
        b"****",
        b"....",
        b"abcdefghijkl",
        b"1234567890ab",
        b"0123456789",
        b"0000000000",
        b"my-secret",
        b"<",
        b"sample",
        b"fake",
        b"todo",
        b"notreal",
    ];
    let lower = value.to_ascii_lowercase();
    let outweighs = |dummy: &[u8]| lower.len() < 24.max(dummy.len() * 8);
    (0..lower.len()).any(|at| {
        let rest = lower.get(at..).unwrap_or(&[]);
        DUMMIES.iter().any(|dummy| dummy.first() == rest.first() && rest.starts_with(dummy) && outweighs(dummy))
    })
}

/// AWS secret keys beside a word of AWS or an access key, and bot tokens of Telegram and Discord.
pub(super) fn find_unprefixed(scan: &mut Scan<'_>) {
    let text = scan.text;
    let ids: Vec<usize> =
        scan.found.iter().filter(|found| found.kind == Kind::AwsAccessKeyId).map(|found| found.end).collect();
    let aws = ids.first().copied();
    let mut at = 0;
    while at < text.len() {
        let byte = text.at(at);
        if !is_base64(byte) {
            at += 1;
            continue;
        }
        let end = text.run(at, usize::MAX - at, is_base64);
        match end - at {
            40 => aws_secret(scan, at, end, aws),
            41.. => aws_secret_within(scan, at, end, aws),
            8..=10 if text.at(end) == b':' => telegram(scan, at, end),
            23..=28 if text.at(end) == b'.' => discord(scan, at, end),
            14 | 17 if text.at(end) == b'.' => dotted(scan, at, end),
            _ => {}
        }
        at = end;
    }
}

/// Forty bytes of base64 that a word names or that stand beside an access key.
fn aws_secret(scan: &mut Scan<'_>, start: usize, end: usize, aws: Option<usize>) {
    let text = scan.text;
    let code = text.bytes(start, end);
    let plain = code.iter().all(|byte| !matches!(byte, b'-' | b'_'));
    let hex = code.iter().all(u8::is_ascii_hexdigit);
    let mixed =
        [u8::is_ascii_digit, u8::is_ascii_uppercase, u8::is_ascii_lowercase].iter().all(|class| code.iter().any(class));
    if !plain || hex || !mixed || is_dummy(code) || text.at(end) == b'=' || entropy(code) < 3.8 {
        return;
    }
    let named = scan.words.before(start, 48, |tag| (tag == Tag::Aws).then_some(())).is_some();
    let near = aws.is_some_and(|id| {
        id.abs_diff(start) < 400 && scan.words.before(start, 32, |tag| (tag == Tag::Secret).then_some(())).is_some()
    }) || aws.is_some_and(|id| id < start && start - id < 24);
    if named || near {
        scan.add(Kind::AwsSecretAccessKey, start, end, Rank::Proved);
    }
}

/// The same where another sign of the alphabet joins the key to its name: `secret/…`, `-…`
fn aws_secret_within(scan: &mut Scan<'_>, start: usize, end: usize, aws: Option<usize>) {
    let code = scan.text.bytes(start, end);
    if aws.is_none() || 80 < code.len() {
        return;
    }
    // AKIA…/…
    if code.len() == 61 && code.get(20) == Some(&b'/') && aws == Some(start + 20) {
        aws_secret(scan, start + 21, end, aws);
    } else if let Some(mark) = code.iter().rposition(|byte| matches!(byte, b'-' | b'_'))
        && code.len() - mark == 41
    {
        aws_secret(scan, start + mark + 1, end, aws);
    }
}

/// pat…….64 hexadecimal digits, …….atlasv1.…
fn dotted(scan: &mut Scan<'_>, start: usize, end: usize) {
    let text = scan.text;
    let terraform = end - start == 14 && text.is(end, b".atlasv1.");
    let from = end + if terraform { 9 } else { 1 };
    let last = text.run(from, 90, |byte| is_word(byte) || byte == b'-');
    let body = text.bytes(from, last);
    let airtable = text.is(start, b"pat") && body.len() == 64 && body.iter().all(u8::is_ascii_hexdigit);
    if (terraform && (55..=75).contains(&body.len())) || airtable {
        scan.add(Kind::SecretToken, start, last, Rank::Proved);
    }
}

/// 123456789:AA…, 35 bytes behind the colon.
fn telegram(scan: &mut Scan<'_>, start: usize, end: usize) {
    let text = scan.text;
    let number = text.bytes(start, end).iter().all(u8::is_ascii_digit);
    let last = text.run(end + 1, 40, |byte| is_word(byte) || byte == b'-');
    let body = text.bytes(end + 1, last);
    if number && (34..=36).contains(&body.len()) && random(body, Body::Url) && !is_word(text.at(last)) {
        scan.add(Kind::SecretToken, start, last, Rank::Proved);
    }
}

/// Three parts of base64url: 24 to 28, 6, 27 to 38 bytes.
fn discord(scan: &mut Scan<'_>, start: usize, end: usize) {
    let text = scan.text;
    let url = |byte: u8| is_word(byte) || byte == b'-';
    let second = text.run(end + 1, 8, url);
    let third = text.run(second + 1, 44, url);
    let fits = second - end - 1 == 6 && text.at(second) == b'.' && (27..=40).contains(&(third - second - 1));
    let first = text.bytes(start, end);
    if fits && matches!(first.first(), Some(b'M' | b'N' | b'O')) && random(first, Body::Url) && !url(text.at(third)) {
        scan.add(Kind::SecretToken, start, third, Rank::Proved);
    }
}
