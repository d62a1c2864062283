//! Where the document of a JSON body ends. It looks at brackets and texts alone; whether all is JSON, `model_json` says.

/// Finds the end of a JSON object that comes in chunks, so that a body of unknown length can be read to there and no
/// further. It looks at brackets and texts alone; whether all is JSON, `read` says.
#[derive(Debug, Default)]
pub struct JsonEnd {
    place: Lexing,
    depth: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Lexing {
    #[default]
    Before,
    Between,
    InText,
    Escaped,
    After,
    Broken,
}

/// How far a document has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    More,
    /// It is complete; of this chunk, that many bytes belong to it, and only white space follows.
    Ended(usize),
    /// It does not begin with `{`, or something follows its end.
    Broken,
}

impl JsonEnd {
    /// Takes the next chunk. After the end it goes on checking that only white space follows.
    pub fn feed(&mut self, chunk: &[u8]) -> Progress {
        let mut rest = chunk;
        let mut belongs = 0;
        loop {
            let step = match self.place {
                Lexing::Before => {
                    rest = rest.trim_ascii_start();
                    self.begin(rest.first().copied())
                }
                Lexing::Between => self.between(rest),
                Lexing::InText => memchr::memchr2(b'"', b'\\', rest).inspect(|&at| {
                    self.place = if rest.get(at) == Some(&b'"') { Lexing::Between } else { Lexing::Escaped };
                }),
                Lexing::Escaped => {
                    if !rest.is_empty() {
                        self.place = Lexing::InText;
                    }
                    rest.first().map(|_| 0)
                }
                Lexing::After if is_blank(rest) => return Progress::Ended(belongs),
                Lexing::After | Lexing::Broken => {
                    self.place = Lexing::Broken;
                    return Progress::Broken;
                }
            };
            let Some(at) = step else { return Progress::More };
            rest = rest.get(at + 1..).unwrap_or_default();
            belongs = chunk.len() - rest.len();
        }
    }

    /// Whether the whole document was seen, and nothing but white space behind it.
    pub fn is_complete(&self) -> bool {
        self.place == Lexing::After
    }

    fn begin(&mut self, first: Option<u8>) -> Option<usize> {
        (self.place, self.depth) = match first? {
            b'{' => (Lexing::Between, 1),
            _ => (Lexing::Broken, 0),
        };
        Some(0)
    }

    /// Goes to the next bracket or text, and says where it stood.
    fn between(&mut self, rest: &[u8]) -> Option<usize> {
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.place = Lexing::InText;
                    return Some(at);
                }
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.place = Lexing::After;
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Only what JSON counts as white space.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::model_json::read;
    use proptest::prelude::*;

    #[test]
    fn the_end_is_found_and_what_follows_it_is_checked() {
        let cases: [(&[u8], Progress); 12] = [
            (b"", Progress::More),
            (b" \n", Progress::More),
            (b"{", Progress::More),
            (br#"{"a":"}"#, Progress::More),
            (br#"{"a":"\"}"#, Progress::More),
            (br#"{"a":"\\"}"#, Progress::Ended(10)),
            (b" {} \r\n", Progress::Ended(3)),
            (br#"{"a":[{"b":"]}"}]} "#, Progress::Ended(18)),
            (b"{}{}", Progress::Broken),
            (b"{}\0", Progress::Broken),
            (b"[]", Progress::Broken),
            (b"}", Progress::Broken),
        ];
        for (body, expected) in cases {
            assert_eq!(JsonEnd::default().feed(body), expected, "{}", String::from_utf8_lossy(body));
        }
        let mut end = JsonEnd::default();
        assert_eq!((end.feed(b"{}"), end.is_complete()), (Progress::Ended(2), true));
        assert_eq!(
            (end.feed(b""), end.feed(b" \n"), end.is_complete()),
            (Progress::Ended(0), Progress::Ended(0), true)
        );
        assert_eq!((end.feed(b"x"), end.feed(b" "), end.is_complete()), (Progress::Broken, Progress::Broken, false));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(serde_json::Value::from),
            "[\"\\\\{}\\[\\]]{0,6}".prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("model|[a-z\"\\\\]{0,5}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::from(serde_json::Map::from_iter(map))),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_end_is_where_a_parser_sees_it_for_every_split(value in any_json(), pretty: bool, tail in "[ \n]{0,3}") {
            let value = serde_json::json!({"x": value});
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let body = format!("{text}{tail}");
            for split in 0..=body.len() {
                let (head, rest) = body.as_bytes().split_at(split);
                let mut end = JsonEnd::default();
                let first = end.feed(head);
                let whole = if split < text.len() {
                    prop_assert_eq!(first, Progress::More);
                    end.feed(rest)
                } else {
                    prop_assert_eq!(end.feed(rest), Progress::Ended(0));
                    first
                };
                let before = if split < text.len() { split } else { 0 };
                prop_assert_eq!(whole, Progress::Ended(text.len() - before));
            }
            prop_assert!(read(body.as_bytes(), "model").is_ok());
        }

        #[test]
        fn bytes_one_by_one_end_as_the_whole_does(body in prop::collection::vec(prop::sample::select(&b"{}[]\"\\ a,:"[..]), 0..40)) {
            let whole = JsonEnd::default().feed(&body);
            let mut end = JsonEnd::default();
            let mut at = Progress::More;
            let mut ended = None;
            for (index, byte) in body.iter().enumerate() {
                at = end.feed(std::slice::from_ref(byte));
                ended = ended.or((at == Progress::Ended(1)).then_some(index + 1));
            }
            match whole {
                Progress::Ended(length) => prop_assert_eq!((ended, at != Progress::Broken), (Some(length), true)),
                other => prop_assert_eq!(at, other),
            }
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(body: Vec<u8>) {
            JsonEnd::default().feed(&body);
        }
    }
}
