//! What a request's body asks for: its model above all, read from a copy; the bytes that are forwarded stay as they came.
//!
//! The gateway must see what the provider will see. So whatever two parsers could read differently is refused: a second
//! content type, a foreign charset, bytes behind the end, a text that is JSON in two ways. Leaves out how bodies are
//! received (`proxy`), and the two formats (`model_json`, `model_multipart`).

use super::{media_type::MediaType, model_json, model_multipart::MultipartAsk};
use crate::providers::provider::ModelPlace;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
};
use std::io::{BufRead, Read};

/// The longest model name that is read, in bytes.
pub const MODEL_BYTES_MAX: usize = 256;
/// How many codings may be stacked in one `Content-Encoding`.
const CODINGS_MAX: usize = 4;
/// The largest zstd window, as RFC 9659 has it for HTTP: 8 MB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// How much output is made at a time.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Why a body cannot be read as the provider would read it. The texts are for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("the body is empty, but this endpoint needs one")]
    Empty,
    #[error("the body is not valid JSON in UTF-8 (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the body must be one JSON object")]
    NotObject,
    #[error("the body names the model more than once")]
    Duplicate,
    #[error("the model in the body must be text")]
    NotText,
    #[error("the body holds a name that some parsers take for the model's; spell it exactly, once")]
    Lookalike,
    #[error(
        "a model's name must have 1 to {MODEL_BYTES_MAX} bytes, no control characters, and no white space at its ends"
    )]
    BadModel,
    #[error("the body names too many fallback models")]
    TooManyModels,
    #[error("the header `{0}` must stand once")]
    RepeatedHeader(HeaderName),
    #[error("this endpoint does not take a body of this content type")]
    ContentType,
    #[error("the body's charset must be UTF-8")]
    Charset,
    #[error("the content encoding must be one of gzip, deflate, br, zstd, identity")]
    UnknownEncoding,
    #[error("the body cannot be decoded as its content encoding says")]
    Undecodable,
    #[error("the body goes on behind its end")]
    Trailing,
    #[error("the decoded body is too large")]
    TooLarge,
    #[error("the multipart body is malformed: {0}")]
    Multipart(&'static str),
}

/// What a body asks for. Nothing in it is trusted beyond choosing, checking and setting money aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// The model; `None` when the body names none.
    pub model: Option<String>,
    /// Models that the provider may take instead (`models`, as OpenRouter has it); each needs the same entitlement.
    pub fallback_models: Vec<String>,
    /// The body asks for a stream.
    pub stream: bool,
    /// The bound on output that the body sets; the largest, if several. `None` when there is none or one is unreadable.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for at once (`n`); each may use the whole bound on output.
    pub choices: Option<u64>,
    /// The service tier that is asked for.
    pub service_tier: Option<String>,
    /// How many characters `input` has, where it is one text: speech is charged by them.
    pub characters: Option<u64>,
    /// How many bytes the body has, decoded where it was read; `None` when nobody can say before it has come.
    pub bytes: Option<u64>,
}

/// Checks a model's name, wherever it stood.
///
/// White space at the ends and control characters are refused because providers trim or cut them, and a rule that denies
/// `x` must not be passed by `x `.
pub fn check_model(name: &str) -> Result<(), BadBody> {
    let fits = !name.is_empty() && name.len() <= MODEL_BYTES_MAX;
    if fits && name.trim() == name && !name.chars().any(char::is_control) { Ok(()) } else { Err(BadBody::BadModel) }
}

/// Whether some parser takes `name` for `member` although it is not: another case (Go), white space around it, the text
/// before a NUL (C), an array's or object's form (`model[]`).
pub(super) fn resembles(name: &str, member: &str) -> bool {
    let head = name.split(['\0', '[']).next().unwrap_or_default();
    head.trim().eq_ignore_ascii_case(member)
}

/// What the head says of the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyHead<'a> {
    content_type: Option<&'a str>,
    content_encoding: Option<&'a str>,
}

/// How the model is found in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape<'a> {
    /// The body need not be read: the model stands elsewhere or nowhere.
    Unread,
    /// The member of one JSON object. `is_form`: the content type says form, as `curl -d` does by default.
    Json { member: &'a str, is_form: bool },
    /// A field of a multipart form.
    Multipart { member: &'a str, content_type: &'a str },
}

impl<'a> BodyHead<'a> {
    /// Reads the two headers; each may stand once.
    pub fn read(headers: &'a HeaderMap) -> Result<Self, BadBody> {
        let sole = |name: HeaderName, unreadable: BadBody| -> Result<Option<&'a str>, BadBody> {
            let mut values = headers.get_all(&name).iter();
            let Some(first) = values.next() else { return Ok(None) };
            if values.next().is_some() {
                return Err(BadBody::RepeatedHeader(name));
            }
            first.to_str().map(Some).map_err(|_| unreadable)
        };
        Ok(Self {
            content_type: sole(CONTENT_TYPE, BadBody::ContentType)?,
            content_encoding: sole(CONTENT_ENCODING, BadBody::UnknownEncoding)?,
        })
    }

    /// Whether the body is compressed, so that its copy must be decoded whole before it can be read.
    pub fn is_encoded(&self) -> bool {
        self.content_encoding.is_some_and(|text| codings(text).next().is_some())
    }

    /// How to find the model, or why this content type does not do. A form's content type counts as JSON, since
    /// `curl -d` sends it and providers take it so; no content type and plain text (a browser's `fetch`) count so, too.
    pub fn shape<'b>(&'b self, place: &'b ModelPlace) -> Result<Shape<'b>, BadBody> {
        let (member, json, multipart) = match place {
            ModelPlace::Json(member) => (member.as_str(), true, false),
            ModelPlace::Multipart(member) => (member.as_str(), false, true),
            ModelPlace::JsonOrMultipart(member) => (member.as_str(), true, true),
            ModelPlace::Path | ModelPlace::Query(_) | ModelPlace::None => return Ok(Shape::Unread),
        };
        let Some(content_type) = self.content_type else {
            return if json { Ok(Shape::Json { member, is_form: false }) } else { Err(BadBody::ContentType) };
        };
        let media = MediaType::parse(content_type).ok_or(BadBody::ContentType)?;
        if !media.is_utf8() {
            return Err(BadBody::Charset);
        }
        match media.essence.as_str() {
            "multipart/form-data" if multipart && self.is_encoded() => {
                // a parser that ignores the coding would find other parts in the compressed bytes
                Err(BadBody::Multipart("it must not be compressed"))
            }
            "multipart/form-data" if multipart => Ok(Shape::Multipart { member, content_type }),
            "application/x-www-form-urlencoded" if json => Ok(Shape::Json { member, is_form: true }),
            essence if json && is_json(essence) => Ok(Shape::Json { member, is_form: false }),
            _ => Err(BadBody::ContentType),
        }
    }
}

fn is_json(essence: &str) -> bool {
    matches!(essence, "application/json" | "text/json" | "text/plain")
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// What a whole body asks for. `decoded_bytes_max` bounds what a compressed one may grow to.
pub fn ask(place: &ModelPlace, head: &BodyHead<'_>, body: &[u8], decoded_bytes_max: u64) -> Result<Ask, BadBody> {
    match head.shape(place)? {
        Shape::Unread => Ok(Ask::default()),
        Shape::Multipart { member, content_type } => {
            let mut scan = MultipartAsk::new(content_type, member)?;
            scan.feed(body)?;
            Ok(Ask { model: scan.finish()?, ..Ask::default() })
        }
        Shape::Json { member, is_form } => {
            let Some(encoding) = head.content_encoding.filter(|_| head.is_encoded()) else {
                return ask_json(member, is_form, body);
            };
            let decoded = decode_copy(encoding, body, decoded_bytes_max)?;
            // A provider that ignores the coding must not find another document in the compressed bytes. Of the codings
            // only brotli can begin so, and no compressor's usual window does.
            if body.trim_ascii_start().starts_with(b"{") {
                return Err(BadBody::Undecodable);
            }
            ask_json(member, is_form, &decoded)
        }
    }
}

fn ask_json(member: &str, is_form: bool, body: &[u8]) -> Result<Ask, BadBody> {
    if is_form && names_in_form(body, member) {
        return Err(BadBody::Lookalike);
    }
    let ask = model_json::read(body, member)?;
    Ok(Ask { bytes: Some(body.len() as u64), ..ask })
}

/// Whether a form's parser would find the member in what is to be JSON, such as `{"model":"a","b":"&model=c&"}`.
fn names_in_form(body: &[u8], member: &str) -> bool {
    body.split(|&byte| byte == b'&' || byte == b';').any(|pair| {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        form_urlencoded::parse(name).next().is_some_and(|(name, _)| resembles(&name, member))
    })
}

/// The codings of a `Content-Encoding`, first applied first, without `identity`.
fn codings(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(',').map(str::trim).filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// The decoded copy of a body, of at most `limit` bytes. One stream that ends where the body ends, or nothing: what
/// follows it (a second gzip member, too) some decoders read and others do not.
pub fn decode_copy(encoding: &str, body: &[u8], limit: u64) -> Result<Vec<u8>, BadBody> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(usize::MAX / 2);
    if codings(encoding).count() > CODINGS_MAX {
        return Err(BadBody::UnknownEncoding);
    }
    let mut copy: Option<Vec<u8>> = None;
    for coding in codings(encoding).rev() {
        let input = copy.as_deref().unwrap_or(body);
        if input.is_empty() {
            return Err(BadBody::Undecodable); // no coding makes nothing of nothing, but a decoder may
        }
        copy = Some(match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => ungzip(input, limit)?,
            "deflate" => inflate(input, limit)?,
            "br" => unbrotli(input, limit)?,
            "zstd" => unzstd(input, limit)?,
            _ => return Err(BadBody::UnknownEncoding),
        });
    }
    match copy {
        Some(copy) => Ok(copy),
        None if body.len() > limit => Err(BadBody::TooLarge),
        None => Ok(body.to_vec()),
    }
}

fn read_bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, BadBody> {
    let mut copy = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(one_more).read_to_end(&mut copy).map_err(|_| BadBody::Undecodable)?;
    if copy.len() > limit { Err(BadBody::TooLarge) } else { Ok(copy) }
}

fn ended(mut rest: impl BufRead) -> Result<(), BadBody> {
    match rest.fill_buf() {
        Ok([]) => Ok(()),
        _ => Err(BadBody::Trailing),
    }
}

fn ungzip(body: &[u8], limit: usize) -> Result<Vec<u8>, BadBody> {
    let mut decoder = flate2::bufread::GzDecoder::new(body);
    let copy = read_bounded(&mut decoder, limit)?;
    ended(decoder.into_inner()).map(|()| copy)
}

fn unzstd(body: &[u8], limit: usize) -> Result<Vec<u8>, BadBody> {
    let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| BadBody::Undecodable)?;
    let mut decoder = decoder.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| BadBody::Undecodable)?;
    let copy = read_bounded(&mut decoder, limit)?;
    ended(decoder.finish()).map(|()| copy)
}

/// `deflate` is zlib's format (RFC 9110 §8.4.1.2); a bare stream, which some senders mean by it, is refused. Driven by
/// hand because the reader takes a cut stream for a whole one.
fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, BadBody> {
    let mut decoder = flate2::Decompress::new(true);
    let mut copy = Vec::new();
    loop {
        let read = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
        let (input, before) = (body.get(read..).unwrap_or_default(), (decoder.total_in(), copy.len()));
        copy.reserve(OUTPUT_BYTES);
        let status = decoder.decompress_vec(input, &mut copy, flate2::FlushDecompress::None);
        if copy.len() > limit {
            return Err(BadBody::TooLarge);
        }
        match status {
            Ok(flate2::Status::StreamEnd) => break,
            Ok(_) if before != (decoder.total_in(), copy.len()) => {}
            _ => return Err(BadBody::Undecodable),
        }
    }
    let read = usize::try_from(decoder.total_in()).unwrap_or(usize::MAX);
    ended(body.get(read..).unwrap_or_default()).map(|()| copy)
}

/// Driven by hand because the reader does not say what follows the stream. Windows over 16 MB are refused.
fn unbrotli(body: &[u8], limit: usize) -> Result<Vec<u8>, BadBody> {
    use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    let (mut copy, mut output) = (Vec::new(), vec![0; OUTPUT_BYTES]);
    loop {
        let (mut room, mut made) = (output.len(), 0);
        let result =
            BrotliDecompressStream(&mut left, &mut at, body, &mut room, &mut made, &mut output, &mut total, &mut state);
        copy.extend_from_slice(output.get(..made).unwrap_or_default());
        if copy.len() > limit {
            return Err(BadBody::TooLarge);
        }
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(copy),
            BrotliResult::ResultSuccess => return Err(BadBody::Trailing),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return Err(BadBody::Undecodable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::io::Write;

    const DOCUMENT: &[u8] = br#"{"model":"gpt-4o","stream":true}"#;
    const LIMIT: u64 = 1 << 20;

    fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match coding {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "br" => {
                let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
                encoder.write_all(body).unwrap();
                encoder.into_inner()
            }
            _ => zstd::encode_all(body, 3).unwrap(),
        }
    }

    const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

    fn asked(
        place: &ModelPlace,
        content_type: Option<&str>,
        encoding: Option<&str>,
        body: &[u8],
    ) -> Result<Ask, BadBody> {
        ask(place, &BodyHead { content_type, content_encoding: encoding }, body, LIMIT)
    }

    fn json() -> ModelPlace {
        ModelPlace::Json("model".into())
    }

    #[test]
    fn every_coding_is_decoded_within_its_limit() {
        let body = DOCUMENT.repeat(1000);
        let size = u64::try_from(body.len()).unwrap();
        for coding in CODINGS {
            let encoded = encode(coding, &body);
            assert_eq!(decode_copy(coding, &encoded, size), Ok(body.clone()), "{coding}");
            assert_eq!(decode_copy(&coding.to_uppercase(), &encoded, LIMIT), Ok(body.clone()), "{coding}");
            assert_eq!(decode_copy(coding, &encoded, size - 1), Err(BadBody::TooLarge), "{coding}");
            let stacked = encode("gzip", &encoded);
            assert_eq!(
                decode_copy(&format!("{coding}, identity ,gzip"), &stacked, LIMIT),
                Ok(body.clone()),
                "{coding}"
            );
        }
        assert_eq!(decode_copy("identity", &body, LIMIT), Ok(body.clone()));
        assert_eq!(decode_copy("", &body, size - 1), Err(BadBody::TooLarge));
        for unknown in ["compress", "aws-chunked", "gzip;q=1", "gzip gzip", "gzip,gzip,gzip,gzip,gzip"] {
            assert_eq!(decode_copy(unknown, &body, LIMIT), Err(BadBody::UnknownEncoding), "{unknown}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 16 << 20];
        for coding in CODINGS {
            let bomb = encode(coding, &zeros);
            assert_eq!(decode_copy(coding, &bomb, LIMIT), Err(BadBody::TooLarge), "{coding}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_or_followed_by_more_is_refused() {
        for coding in CODINGS {
            let encoded = encode(coding, DOCUMENT);
            for cut in 0..encoded.len() {
                let outcome = decode_copy(coding, &encoded[..cut], LIMIT);
                assert_eq!(outcome, Err(BadBody::Undecodable), "{coding} cut at {cut} of {}", encoded.len());
            }
            for tail in [&b"\0"[..], b"{}", &encoded] {
                let outcome = decode_copy(coding, &[&encoded, tail].concat(), LIMIT);
                assert_eq!(outcome, Err(BadBody::Trailing), "{coding}");
            }
        }
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        bare.write_all(DOCUMENT).unwrap();
        assert_eq!(decode_copy("deflate", &bare.finish().unwrap(), LIMIT), Err(BadBody::Undecodable));
    }

    #[test]
    fn json_is_read_by_the_content_types_that_providers_take_for_it() {
        let types = [
            None,
            Some("application/json"),
            Some("Application/JSON ; charset=\"UTF-8\""),
            Some("application/json;"),
            Some("application/vnd.api+json"),
            Some("text/plain;charset=UTF-8"),
            Some("application/x-www-form-urlencoded"),
        ];
        for content_type in types {
            let ask = asked(&json(), content_type, None, DOCUMENT).unwrap();
            assert_eq!((ask.model.as_deref(), ask.stream), (Some("gpt-4o"), true), "{content_type:?}");
        }
        for coding in CODINGS {
            let ask = asked(&json(), Some("application/json"), Some(coding), &encode(coding, DOCUMENT)).unwrap();
            assert_eq!(ask.model.as_deref(), Some("gpt-4o"), "{coding}");
        }
        for place in [ModelPlace::Path, ModelPlace::None, ModelPlace::Query("model".into())] {
            assert_eq!(asked(&place, Some("x"), Some("y"), b"z"), Ok(Ask::default()));
        }
    }

    #[test]
    fn what_a_provider_could_read_otherwise_is_refused() {
        let either = ModelPlace::JsonOrMultipart("model".into());
        let form = Some("multipart/form-data; boundary=b");
        let disguised = br#"{"model":"cheap","x":"&model=dear&"}"#;
        let cases: [(&ModelPlace, Option<&str>, Option<&str>, &[u8], BadBody); 17] = [
            (&json(), form, None, DOCUMENT, BadBody::ContentType),
            (&json(), Some("application/xml"), None, DOCUMENT, BadBody::ContentType),
            (&json(), Some("application/json, multipart/form-data"), None, DOCUMENT, BadBody::ContentType),
            (&json(), Some("application/json; charset=utf-8; charset=utf-7"), None, DOCUMENT, BadBody::ContentType),
            (&json(), Some("application/json; charset*=utf-7''x"), None, DOCUMENT, BadBody::ContentType),
            (&json(), Some(""), None, DOCUMENT, BadBody::ContentType),
            (&json(), Some("application/json; charset=utf-16"), None, DOCUMENT, BadBody::Charset),
            (&json(), Some("application/json; charset=\"utf-7\""), None, DOCUMENT, BadBody::Charset),
            (&json(), Some("application/x-www-form-urlencoded"), None, disguised, BadBody::Lookalike),
            (&json(), Some("application/x-www-form-urlencoded"), None, br#"{"x":";MODEL=y"}"#, BadBody::Lookalike),
            (&json(), Some("application/x-www-form-urlencoded"), None, b"x=1", BadBody::NotObject),
            (&json(), None, Some("zip"), DOCUMENT, BadBody::UnknownEncoding),
            (&json(), None, Some("br"), DOCUMENT, BadBody::Undecodable),
            (&json(), None, None, b" ", BadBody::Empty),
            (&either, Some("text/html"), None, DOCUMENT, BadBody::ContentType),
            (&either, form, Some("gzip"), DOCUMENT, BadBody::Multipart("it must not be compressed")),
            (&ModelPlace::Multipart("model".into()), None, None, DOCUMENT, BadBody::ContentType),
        ];
        for (place, content_type, encoding, body, expected) in cases {
            assert_eq!(asked(place, content_type, encoding, body), Err(expected), "{content_type:?} {encoding:?}");
        }
        assert!(asked(&json(), Some("application/json"), None, disguised).is_ok());
    }

    #[test]
    fn a_form_is_read_where_the_endpoint_takes_one() {
        let body = b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper-1\r\n--b--\r\n";
        for place in [ModelPlace::Multipart("model".into()), ModelPlace::JsonOrMultipart("model".into())] {
            let ask = asked(&place, Some("multipart/form-data; boundary=\"b\""), Some("identity"), body).unwrap();
            assert_eq!(ask.model.as_deref(), Some("whisper-1"));
        }
    }

    #[test]
    fn the_headers_of_a_body_stand_once_and_are_text() {
        let mut headers = HeaderMap::new();
        assert_eq!(BodyHead::read(&headers), Ok(BodyHead::default()));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        let head = BodyHead::read(&headers).unwrap();
        assert_eq!((head.content_type, head.is_encoded()), (Some("application/json"), false));
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(BodyHead::read(&headers), Err(BadBody::RepeatedHeader(CONTENT_ENCODING)));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data"));
        assert_eq!(BodyHead::read(&headers), Err(BadBody::RepeatedHeader(CONTENT_TYPE)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(BodyHead::read(&headers), Err(BadBody::ContentType));
    }

    #[test]
    fn a_models_name_is_plain() {
        for good in ["gpt-4o", "ft:gpt-4o:org::x", "meta/llama-3@1", "a b", "é"] {
            assert_eq!(check_model(good), Ok(()), "{good}");
        }
        for bad in ["", " gpt", "gpt\n", "gpt\u{a0}", "g\0pt", "g\u{85}t", &"x".repeat(MODEL_BYTES_MAX + 1)] {
            assert_eq!(check_model(bad), Err(BadBody::BadModel), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(body: Vec<u8>, content_type: String, encoding in "[a-z, ]{0,12}") {
            for coding in CODINGS {
                decode_copy(coding, &body, 1000).ok();
            }
            for place in [json(), ModelPlace::JsonOrMultipart("model".into())] {
                asked(&place, Some(&content_type), Some(&encoding), &body).ok();
            }
        }

        #[test]
        fn what_was_encoded_is_decoded(body: Vec<u8>) {
            for coding in CODINGS {
                prop_assert_eq!(decode_copy(coding, &encode(coding, &body), LIMIT), Ok(body.clone()));
            }
        }

        #[test]
        fn a_flipped_bit_never_panics(at: prop::sample::Index, bit in 0..8_u8) {
            for coding in CODINGS {
                let mut encoded = encode(coding, DOCUMENT);
                let at = at.index(encoded.len());
                encoded[at] ^= 1_u8 << bit;
                decode_copy(coding, &encoded, LIMIT).ok();
            }
        }
    }
}
