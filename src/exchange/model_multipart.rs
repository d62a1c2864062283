//! Finds a text field, the model, in a multipart form that comes in chunks, before or after a file of any size.
//!
//! Strict where parsers differ: a boundary stands nowhere but in a whole delimiter line, lines end in CRLF, part headers are
//! read in the two ways that quoted texts are read in, and what follows the end is blank. Memory is bounded by one part's
//! headers; content is searched, not kept.

use super::{
    body::{BadBody, MODEL_BYTES_MAX, check_model, resembles},
    media_type::{MediaType, parameters},
};
use memchr::memmem;

/// The largest headers of one part, in bytes.
const PART_HEAD_BYTES_MAX: usize = 8 * 1024;
/// The most headers of one part.
const PART_HEADERS_MAX: usize = 16;
/// How much of a chunk is joined to what the chunk before left over.
const JOIN_BYTES: usize = 1024;

/// A scan of one form.
#[derive(Debug)]
pub struct MultipartAsk {
    member: String,
    /// Finds `--` and the boundary.
    delimiter: memmem::Finder<'static>,
    state: State,
    /// Bytes that the last chunk left undecided: at most one part's headers.
    held: Vec<u8>,
    /// The field's value as far as it has come, while its part is read.
    value: Option<Vec<u8>>,
    model: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read; the first delimiter may stand here without a line end before it.
    Start,
    Preamble,
    /// Behind a boundary: CRLF or `--` follows.
    Delimited,
    PartHead,
    Content,
    Epilogue,
    Failed,
}

impl MultipartAsk {
    /// A scan for the field `member`; the content type brings the boundary.
    pub fn new(content_type: &str, member: &str) -> Result<Self, BadBody> {
        let media = MediaType::parse(content_type).ok_or(BadBody::ContentType)?;
        if media.essence != "multipart/form-data" {
            return Err(BadBody::ContentType);
        }
        let boundary = media.parameter("boundary").ok_or(BadBody::Multipart("the content type has no boundary"))?;
        let allowed = |&byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        if !(1..=70).contains(&boundary.len()) || !boundary.iter().all(allowed) || boundary.ends_with(b" ") {
            return Err(BadBody::Multipart("the boundary must have 1 to 70 characters of those that RFC 2046 allows"));
        }
        Ok(Self {
            member: member.to_owned(),
            delimiter: memmem::Finder::new(&[b"--", boundary].concat()).into_owned(),
            state: State::Start,
            held: Vec::new(),
            value: None,
            model: None,
        })
    }

    /// Takes the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), BadBody> {
        let outcome = self.take(chunk);
        if outcome.is_err() {
            self.state = State::Failed;
        }
        outcome
    }

    /// Whether the closing delimiter was seen.
    pub fn is_complete(&self) -> bool {
        self.state == State::Epilogue
    }

    /// The model, as soon as its part has ended. A second one is still an error, later.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Ends the scan: the model, if the form names one.
    pub fn finish(self) -> Result<Option<String>, BadBody> {
        match self.state {
            State::Epilogue => Ok(self.model),
            State::Start => Err(BadBody::Empty),
            _ => Err(BadBody::Multipart("its closing boundary is missing")),
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), BadBody> {
        let mut rest = chunk;
        while !self.held.is_empty() && !rest.is_empty() {
            let (head, tail) = rest.split_at(rest.len().min(JOIN_BYTES));
            let mut joined = std::mem::take(&mut self.held);
            let before = joined.len();
            joined.extend_from_slice(head);
            let used = self.scan(&joined)?;
            if let Some(used_of_rest) = used.checked_sub(before) {
                rest = rest.get(used_of_rest..).unwrap_or_default();
            } else {
                joined.drain(..used);
                self.held = joined;
                rest = tail;
            }
        }
        if !rest.is_empty() {
            let used = self.scan(rest)?;
            self.held.extend_from_slice(rest.get(used..).unwrap_or_default());
        }
        Ok(())
    }

    /// Goes as far as can be decided; says how many bytes it is done with.
    fn scan(&mut self, window: &[u8]) -> Result<usize, BadBody> {
        let mut used = 0;
        loop {
            let rest = window.get(used..).unwrap_or_default();
            let step = match self.state {
                State::Start | State::Preamble | State::Content => self.search(rest)?,
                State::Delimited => self.delimited(rest)?,
                State::PartHead => self.part_head(rest)?,
                State::Epilogue if rest.trim_ascii().is_empty() => Step::Wait(rest.len()),
                State::Epilogue => return Err(BadBody::Trailing),
                State::Failed => return Err(BadBody::Multipart("it was refused before")),
            };
            match step {
                Step::Wait(done) => return Ok(used + done),
                Step::Go(done) => used += done,
            }
        }
    }

    /// Looks for the next boundary. Wherever one stands without a line end before it, some parser splits and another does
    /// not.
    fn search(&mut self, rest: &[u8]) -> Result<Step, BadBody> {
        let length = self.delimiter.needle().len();
        let Some(at) = self.delimiter.find(rest) else {
            // the last bytes may begin a boundary, and the line end before it
            let decided = rest.len().saturating_sub(length + 1);
            if decided > 0 {
                self.keep(rest.get(..decided).unwrap_or_default())?;
                if self.state == State::Start {
                    self.state = State::Preamble;
                }
            }
            return Ok(Step::Wait(decided));
        };
        let content = match rest.get(..at).and_then(|before| before.strip_suffix(b"\r\n")) {
            Some(content) => content,
            None if at == 0 && self.state == State::Start => &[],
            None => return Err(BadBody::Multipart("its boundary stands inside a line")),
        };
        self.keep(content)?;
        self.end_part()?;
        self.state = State::Delimited;
        Ok(Step::Go(at + length))
    }

    fn delimited(&mut self, rest: &[u8]) -> Result<Step, BadBody> {
        self.state = match rest.get(..2) {
            Some(b"\r\n") => State::PartHead,
            Some(b"--") => State::Epilogue,
            Some(_) => return Err(BadBody::Multipart("something follows a boundary on its line")),
            None => return Ok(Step::Wait(0)),
        };
        Ok(Step::Go(2))
    }

    fn part_head(&mut self, rest: &[u8]) -> Result<Step, BadBody> {
        let end = memmem::find(rest.get(..PART_HEAD_BYTES_MAX).unwrap_or(rest), b"\r\n\r\n");
        let Some(end) = end.map(|at| at + 4) else {
            if rest.len() >= PART_HEAD_BYTES_MAX {
                return Err(BadBody::Multipart("the headers of a part are too large"));
            }
            return Ok(Step::Wait(0));
        };
        let head = rest.get(..end).unwrap_or_default();
        if self.delimiter.find(head).is_some() {
            return Err(BadBody::Multipart("its boundary stands inside the headers of a part"));
        }
        if is_model_part(head, &self.member)? {
            if self.model.is_some() {
                return Err(BadBody::Duplicate);
            }
            self.value = Some(Vec::new());
        }
        self.state = State::Content;
        Ok(Step::Go(end))
    }

    fn keep(&mut self, content: &[u8]) -> Result<(), BadBody> {
        let Some(value) = &mut self.value else { return Ok(()) };
        if value.len() + content.len() > MODEL_BYTES_MAX {
            return Err(BadBody::BadModel);
        }
        value.extend_from_slice(content);
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), BadBody> {
        if let Some(value) = self.value.take() {
            let model = String::from_utf8(value).map_err(|_| BadBody::NotText)?;
            check_model(&model)?;
            self.model = Some(model);
        }
        Ok(())
    }
}

/// What a state made of its bytes: done with so many and on to the next state, or done with so many and in need of more.
enum Step {
    Go(usize),
    Wait(usize),
}

/// Whether the part with these headers is the member's; refuses what parsers could read differently.
fn is_model_part(head: &[u8], member: &str) -> Result<bool, BadBody> {
    let odd = BadBody::Multipart("the headers of a part are malformed");
    let bare = |(at, byte): (usize, &u8)| match byte {
        b'\n' => at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'),
        b'\r' => head.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    if head.iter().enumerate().any(bare) {
        return Err(odd);
    }
    let mut headers = [httparse::EMPTY_HEADER; PART_HEADERS_MAX];
    let Ok(httparse::Status::Complete((length, headers))) = httparse::parse_headers(head, &mut headers) else {
        return Err(odd);
    };
    if length != head.len() {
        return Err(odd);
    }
    let sole = |name: &str| {
        let mut values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = values.next().map(|header| header.value);
        if values.next().is_some() { Err(odd.clone()) } else { Ok(first) }
    };
    let disposition = sole("content-disposition")?.ok_or(BadBody::Multipart("a part has no name"))?;
    let (name, is_file) = field_name(disposition)?;
    if name == "_charset_" {
        return Err(BadBody::Charset); // sets the charset of the other fields (RFC 7578 §4.6)
    }
    if name != member {
        let decoded = form_urlencoded::parse(name.as_bytes()).next().is_some_and(|(name, _)| resembles(&name, member));
        return if decoded || resembles(&name, member) { Err(BadBody::Lookalike) } else { Ok(false) };
    }
    let is_plain = |value: &[u8]| {
        let media = std::str::from_utf8(value).ok().and_then(MediaType::parse);
        media.is_some_and(|media| media.essence == "text/plain" && media.is_utf8())
    };
    let is_coded = |value: &[u8]| !["7bit", "8bit", "binary"].iter().any(|n| value.eq_ignore_ascii_case(n.as_bytes()));
    if is_file
        || sole("content-type")?.is_some_and(|value| !is_plain(value))
        || sole("content-transfer-encoding")?.is_some_and(is_coded)
    {
        return Err(BadBody::Multipart("the model must be a plain text field"));
    }
    Ok(true)
}

/// A part's name, and whether it is a file. Some parsers take a backslash for an escape and some do not; both must find the
/// same names.
fn field_name(disposition: &[u8]) -> Result<(String, bool), BadBody> {
    let odd = BadBody::Multipart("the disposition of a part is malformed");
    let end = disposition.iter().position(|&byte| byte == b';').unwrap_or(disposition.len());
    let (kind, rest) = disposition.split_at_checked(end).unwrap_or_default();
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(odd);
    }
    let (escaped, is_whole) = parameters(rest, true);
    let (naive, _) = parameters(rest, false);
    let names = |found: &[(String, Vec<u8>)]| -> Vec<Vec<u8>> {
        // `name*` and `name*0` say the name in other ways (RFC 2231)
        let named = found.iter().filter(|(key, _)| key == "name" || key.starts_with("name*"));
        named.map(|(key, value)| if key == "name" { value.clone() } else { Vec::new() }).collect()
    };
    let found = names(&escaped);
    let [name] = found.as_slice() else { return Err(odd) };
    if !is_whole || name.is_empty() || names(&naive) != found {
        return Err(odd);
    }
    let is_file = escaped.iter().any(|(key, _)| key.starts_with("filename"));
    // a name in another charset is not the member's, unless it is odd
    Ok((String::from_utf8_lossy(name).into_owned(), is_file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/form-data; boundary=XyZ";

    fn part(headers: &str, content: &str) -> String {
        format!("--XyZ\r\n{headers}\r\n\r\n{content}\r\n")
    }

    fn field(name: &str, content: &str) -> String {
        part(&format!("Content-Disposition: form-data; name=\"{name}\""), content)
    }

    fn file(content: &str) -> String {
        part("Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg", content)
    }

    fn scan(content_type: &str, chunks: &[&[u8]]) -> Result<Option<String>, BadBody> {
        let mut scan = MultipartAsk::new(content_type, "model")?;
        for chunk in chunks {
            scan.feed(chunk)?;
        }
        scan.finish()
    }

    fn whole(body: &str) -> Result<Option<String>, BadBody> {
        scan(TYPE, &[body.as_bytes()])
    }

    fn is_malformed(outcome: &Result<Option<String>, BadBody>) -> bool {
        matches!(outcome, Err(BadBody::Multipart(_)))
    }

    #[test]
    fn the_field_is_found_before_and_after_a_file() {
        let (model, file) = (field("model", "whisper-1"), file("\r\n--XY\r\n-\r--Xy\0\n\r\n\r\n"));
        let cases = [
            format!("{model}{file}--XyZ--\r\n"),
            format!("{file}{model}--XyZ--"),
            format!("preamble\r\n{file}{model}--XyZ--\r\n \r\n"),
            format!("\r\n{}{model}--XyZ--", field("", "x").replace("name=\"\"", "name=a; filename*=utf-8''b")),
            format!(
                "{}--XyZ--",
                part(
                    "CONTENT-DISPOSITION: Form-Data ; NAME=model ; \r\ncontent-type: text/plain; charset=utf-8",
                    "whisper-1"
                )
            ),
            format!(
                "{}--XyZ--",
                part(
                    "Content-Transfer-Encoding: 8BIT\r\nX: \r\nContent-Disposition: form-data;name=\"model\"",
                    "whisper-1"
                )
            ),
            format!("{}{model}--XyZ--", file.replace("a.mp3", "C:\\\\dir\\\\a \u{e9}.mp3")),
            format!("{}{model}--XyZ--", file.replace("a.mp3", "a\\\"b.mp3")),
        ];
        for body in cases {
            assert_eq!(whole(&body), Ok(Some("whisper-1".into())), "{body}");
        }
        assert_eq!(whole(&format!("{file}--XyZ--")), Ok(None));
        assert_eq!(whole("--XyZ--"), Ok(None));
    }

    #[test]
    fn what_parsers_split_differently_is_refused() {
        let model = field("model", "m");
        let bodies = [
            model.clone(),
            format!("{model}--XyZ"),
            format!("{model}--XyZ-"),
            format!("{model}--XyZ--").replace("\r\n", "\n"),
            format!("\n{model}--XyZ--"),
            format!("x{model}--XyZ--"),
            format!("{model}--XyZ \r\n{}--XyZ--", "\r\n"),
            format!("{model}--XyZtail\r\n\r\n--XyZ--"),
            format!("{}--XyZ--", file("a\n--XyZ\r\nb")),
            format!("{}--XyZ--", file("a--XyZ")),
            "--XyZ\r\n\r\nm\r\n--XyZ--".to_owned(),
            format!("--XyZ\r\n{model}--XyZ--"),
            "--XyZ\r\nContent-Disposition: form-data; name=a\r\n\r\n--XyZ--".to_owned(),
            format!("{}--XyZ--", part("X: --XyZ\r\nContent-Disposition: form-data; name=a", "x")),
            format!("{}--XyZ--", part("X: a\nContent-Disposition: form-data; name=a", "x")),
            format!("{}--XyZ--", part("X: a\rY: b\r\nContent-Disposition: form-data; name=a", "x")),
            format!("{}--XyZ--", part("Content-Disposition: form-data;\r\n name=a", "x")),
            format!("{}--XyZ--", part("Content-Disposition : form-data; name=a", "x")),
            format!("{}--XyZ--", part("Content-Type: text/plain", "x")),
            format!(
                "{}--XyZ--",
                part(&format!("Content-Disposition: form-data; name=a\r\nX: {}", "x".repeat(9000)), "x")
            ),
            format!(
                "{}--XyZ--",
                part(&format!("{}Content-Disposition: form-data; name=a", "X: y\r\n".repeat(16)), "x")
            ),
        ];
        for body in bodies {
            let outcome = whole(&body);
            assert!(is_malformed(&outcome), "{outcome:?}\n{body}");
        }
        assert_eq!(whole(&format!("{model}--XyZ--\r\n{model}")), Err(BadBody::Trailing));
        assert_eq!(whole(""), Err(BadBody::Empty));
    }

    #[test]
    fn what_parsers_name_differently_is_refused() {
        let malformed = [
            "form-data",
            "form-data; name=\"\"",
            "attachment; name=\"model\"",
            "form-data; name=\"a\"; name=\"model\"",
            "form-data; name*=utf-8''model",
            "form-data; name=\"a\"; name*0=\"model\"",
            "form-data; name=\"model",
            "form-data; name=mo del",
            "form-data; name = model",
            "form-data name=model",
            "form-data; name=\"mo\\del\"",
            "form-data; filename=\"a\\\"; name=\"model\"",
            "form-data; name=\"x\"; filename=\"\\\"; name=model; z=\\\"\"",
            "form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
            "form-data; name=\"model\"; filename=\"model\"",
            "form-data; name=\"model\"; filename*=utf-8''m",
            "form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64",
            "form-data; name=\"model\"\r\nContent-Transfer-Encoding: quoted-printable",
            "form-data; name=\"model\"\r\nContent-Type: text/plain; charset=utf-7",
            "form-data; name=\"model\"\r\nContent-Type: application/json",
        ];
        for disposition in malformed {
            let outcome = whole(&format!("{}--XyZ--", part(&format!("Content-Disposition: {disposition}"), "m")));
            assert!(is_malformed(&outcome), "{outcome:?} {disposition}");
        }
        for name in ["Model", "model[]", " model", "mod%65l", "model\\0"] {
            let outcome = whole(&format!("{}--XyZ--", field(name, "m")));
            assert!(outcome == Err(BadBody::Lookalike) || is_malformed(&outcome), "{outcome:?} {name}");
        }
        assert_eq!(whole(&format!("{}--XyZ--", field("_charset_", "utf-7"))), Err(BadBody::Charset));
    }

    #[test]
    fn the_value_is_one_plain_short_text() {
        let twice = format!("{}{}{}--XyZ--", field("model", "a"), file("x"), field("model", "a"));
        assert_eq!(whole(&twice), Err(BadBody::Duplicate));
        let fits = "m".repeat(MODEL_BYTES_MAX);
        assert_eq!(whole(&format!("{}--XyZ--", field("model", &fits))), Ok(Some(fits)));
        for bad in ["", " m", "m\r\n", "m\0", &"m".repeat(MODEL_BYTES_MAX + 1), &"m".repeat(100_000)] {
            assert_eq!(whole(&format!("{}--XyZ--", field("model", bad))), Err(BadBody::BadModel));
        }
        let mut bytes = field("model", "?").into_bytes();
        let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
        bytes[at] = 0xff;
        assert_eq!(scan(TYPE, &[&bytes, b"--XyZ--"]), Err(BadBody::NotText));
    }

    #[test]
    fn the_boundary_comes_from_the_content_type() {
        let body = |boundary: &str| format!("{}--XyZ--", field("model", "m")).replace("XyZ", boundary);
        let long = "x".repeat(70);
        let good = [
            ("multipart/form-data; boundary=\"a b\"", "a b"),
            ("Multipart/Form-Data;charset=utf-8; Boundary=----=_Part_1_2.3", "----=_Part_1_2.3"),
            ("multipart/form-data; boundary=\"'()+_,-./:=?\"", "'()+_,-./:=?"),
            (&format!("multipart/form-data; boundary={long}"), &long),
        ];
        for (content_type, boundary) in good {
            let outcome = scan(content_type, &[body(boundary).as_bytes()]);
            assert_eq!(outcome, Ok(Some("m".into())), "{content_type}");
        }
        let bad = [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary*=utf-8''a",
            "multipart/form-data; boundary=\"a\\\"b\"",
            "multipart/form-data; boundary=a,b",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=\"a",
            "multipart/form-data boundary=a",
            "multipart/mixed; boundary=a",
            &format!("multipart/form-data; boundary={long}x"),
        ];
        for content_type in bad {
            assert!(MultipartAsk::new(content_type, "model").is_err(), "{content_type}");
        }
    }

    #[test]
    fn the_model_is_known_at_its_end_and_a_refused_form_stays_refused() {
        let mut scan = MultipartAsk::new(TYPE, "model").unwrap();
        scan.feed(field("model", "m").as_bytes()).unwrap();
        assert_eq!((scan.model(), scan.is_complete()), (None, false));
        scan.feed(b"--XyZ\r\n").unwrap();
        assert_eq!((scan.model(), scan.is_complete()), (Some("m"), false));
        assert!(scan.feed(b"\r\nx\r\n\r\n").is_err());
        assert!(scan.feed(b"--XyZ--").is_err() && !scan.is_complete());
    }

    #[test]
    fn a_large_file_costs_no_memory() {
        let mut scan = MultipartAsk::new(TYPE, "model").unwrap();
        scan.feed(file("").trim_end().as_bytes()).unwrap();
        scan.feed(b"\r\n\r\n").unwrap();
        let chunk = b"\r\n--Xy".repeat(20_000);
        for _ in 0..100 {
            scan.feed(&chunk).unwrap();
            assert!(scan.held.capacity() <= 2 * JOIN_BYTES, "{}", scan.held.capacity());
        }
        scan.feed(b"\r\n").unwrap();
        scan.feed(field("model", "m").as_bytes()).unwrap();
        scan.feed(b"--XyZ--").unwrap();
        assert_eq!(scan.finish(), Ok(Some("m".into())));
    }

    #[test]
    fn every_split_in_two_reads_as_the_whole() {
        let body = format!("pre\r\n{}{}--XyZ--\r\n", file("\r\n--XY\r\r\n--Xy"), field("model", "m-1"));
        for at in 0..=body.len() {
            let (head, tail) = body.as_bytes().split_at(at);
            assert_eq!(scan(TYPE, &[head, tail]), Ok(Some("m-1".into())), "split at {at}");
        }
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(scan(TYPE, &bytes), Ok(Some("m-1".into())));
    }

    fn pieces() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "--XyZ",
            "\r\n",
            "\n",
            "\r",
            "--",
            "--Xy",
            "x",
            "Content-Disposition: form-data; name=model",
            "Content-Disposition: form-data; name=\"file\"; filename=f",
            "\r\n--XyZ\r\n",
            "\r\n\r\n",
            "\r\n--XyZ--",
            " ",
        ]);
        prop::collection::vec(known, 0..16).prop_map(|pieces| format!("--XyZ\r\n{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn any_split_reads_as_the_whole(body in pieces(), cuts: Vec<prop::sample::Index>) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([body.len()]) {
                chunks.push(&body.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(scan(TYPE, &chunks), whole(&body), "{:?}", body);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes: Vec<u8>, content_type: String) {
            scan(TYPE, &[&bytes, &bytes]).ok();
            scan(TYPE, &[b"--XyZ\r\n", &bytes]).ok();
            MultipartAsk::new(&content_type, "model").ok();
            is_model_part(&bytes, "model").ok();
            is_model_part(&[b"Content-Disposition: form-data; ", bytes.as_slice(), b"\r\n\r\n"].concat(), "model").ok();
        }
    }
}
