//! As much of ClickHouse's lexis as the HTTP interface needs: where an INSERT's data begins, which output format a
//! statement names, and whether it would touch files. The engine's parser decides everything else.

/// What a statement's text shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The first word is INSERT.
    pub(super) insert: bool,
    /// Where the data of `INSERT … FORMAT X` begins; absent for INSERT … VALUES and INSERT … SELECT.
    pub(super) data: Option<InlineData>,
    /// The output format that the statement names.
    pub(super) format: Option<String>,
    /// `INTO OUTFILE` or `FROM INFILE`: a client's business, which the embedded engine would do itself.
    pub(super) names_file: bool,
}

/// The end of `INSERT INTO t FORMAT RowBinary⏎data`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InlineData {
    /// The statement without its FORMAT clause ends here.
    pub(super) statement_end: usize,
    pub(super) format: String,
    pub(super) data_start: usize,
}

/// Reads the shape of a statement; binary data may follow it.
pub(super) fn shape(text: &[u8]) -> Shape {
    let mut shape = Shape::default();
    let mut lexer = Lexer { text, at: 0 };
    let (mut depth, mut first, mut reads_rows) = (0_u32, true, false);
    let mut before = Token::Other;
    while let Some((start, token)) = lexer.next() {
        match token {
            Token::Symbol(b'(' | b'[' | b'{') => depth = depth.saturating_add(1),
            Token::Symbol(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 => {
                let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
                if first {
                    shape.insert = is("INSERT");
                    first = false;
                } else if is("FORMAT") && !before.expects_name() {
                    let Some(format) = lexer.clone().word() else { continue };
                    lexer.next();
                    if shape.insert && !reads_rows {
                        let data_start = lexer.data_start();
                        shape.data = Some(InlineData { statement_end: start, format, data_start });
                        return shape;
                    }
                    shape.format = Some(format);
                } else if (is("OUTFILE") && before.is("INTO")) || (is("INFILE") && before.is("FROM")) {
                    shape.names_file = true;
                } else if shape.insert && is("VALUES") && !before.expects_name() {
                    return shape;
                } else if shape.insert && (is("SELECT") || is("WITH")) && !before.expects_name() {
                    reads_rows = true;
                }
            }
            _ => {}
        }
        before = token;
    }
    shape
}

/// True when a text might call the function `file`, which reads any file that the process may, also in read-only mode.
/// The engine has no switch for it, so this errs on the safe side: strings and comments count as well, and so do
/// escapes in quoted names, which could spell it otherwise.
pub(super) fn may_read_files(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text.split(|c| !word(c)).any(|name| name == "file");
    names || (text.contains('\\') && text.contains(['`', '"', '“', '”']))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a [u8]),
    Symbol(u8),
    /// A string, a quoted name, a number.
    Other,
}

impl Token<'_> {
    fn is(self, name: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// After these comes a name, whatever it looks like: `INSERT INTO format …`, `db.values`.
    fn expects_name(self) -> bool {
        self.is("INTO") || self.is("TABLE") || self.is("FROM") || self == Token::Symbol(b'.')
    }
}

#[derive(Debug, Clone)]
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.checked_add(ahead)?).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_while(&mut self, mut test: impl FnMut(u8) -> bool) {
        let length = self.rest().iter().take_while(|byte| test(**byte)).count();
        self.at = self.at.saturating_add(length);
    }

    /// Moves behind the next place where `end` stands, or to the end of the text.
    fn skip_past(&mut self, end: &[u8]) {
        let found = memchr::memmem::find(self.rest(), end);
        let length = found.map_or(self.rest().len(), |at| at.saturating_add(end.len()));
        self.at = self.at.saturating_add(length);
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at = self.at.saturating_add(1);
        while let Some(byte) = self.peek(0) {
            self.at = self.at.saturating_add(if byte == b'\\' { 2 } else { 1 });
            if byte == quote {
                return;
            }
        }
    }

    /// The next token and where it begins.
    fn next(&mut self) -> Option<(usize, Token<'a>)> {
        loop {
            let start = self.at;
            let byte = self.peek(0)?;
            match (byte, self.peek(1)) {
                (b'-', Some(b'-')) | (b'#', Some(b'!' | b' ')) => self.skip_past(b"\n"),
                (b'/', Some(b'*')) => {
                    self.at = self.at.saturating_add(2);
                    self.skip_past(b"*/");
                }
                (b'\'' | b'"' | b'`', _) => {
                    self.skip_quoted(byte);
                    return Some((start, Token::Other));
                }
                (b'$', _) => {
                    self.skip_heredoc();
                    return Some((start, Token::Other));
                }
                (byte, _) if byte.is_ascii_whitespace() => self.skip_while(|byte| byte.is_ascii_whitespace()),
                (byte, _) if is_word(byte) => {
                    self.skip_while(is_word);
                    let word = self.text.get(start..self.at).unwrap_or_default();
                    let token = if byte.is_ascii_digit() { Token::Other } else { Token::Word(word) };
                    return Some((start, token));
                }
                _ => {
                    self.at = self.at.saturating_add(1);
                    return Some((start, Token::Symbol(byte)));
                }
            }
        }
    }

    /// `$tag$ … $tag$`, or a lone dollar sign.
    fn skip_heredoc(&mut self) {
        let tag = self.rest().iter().skip(1).take_while(|byte| is_word(**byte)).count().saturating_add(2);
        match self.rest().get(..tag) {
            Some(mark) if mark.ends_with(b"$") => {
                self.at = self.at.saturating_add(tag);
                self.skip_past(mark);
            }
            _ => self.at = self.at.saturating_add(1),
        }
    }

    /// The next token's text, when it is a word.
    fn word(mut self) -> Option<String> {
        match self.next()?.1 {
            Token::Word(word) => Some(String::from_utf8_lossy(word).into_owned()),
            _ => None,
        }
    }

    /// Data begins after the format's name, blanks and one line break (or a semicolon before it).
    fn data_start(&mut self) -> usize {
        let blank = |byte| matches!(byte, b' ' | b'\t' | b'\r');
        self.skip_while(blank);
        if self.peek(0) == Some(b';') {
            self.at = self.at.saturating_add(1);
            self.skip_while(blank);
        }
        if self.peek(0) == Some(b'\n') {
            self.at = self.at.saturating_add(1);
        }
        self.at
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &[u8]) -> Option<(&[u8], String, &[u8])> {
        let data = shape(text).data?;
        Some((&text[..data.statement_end], data.format, &text[data.data_start..]))
    }

    #[test]
    fn an_insert_is_cut_before_its_format_and_after_its_line() {
        type Case = (&'static [u8], &'static [u8], &'static str, &'static [u8]);
        let cases: &[Case] = &[
            (b"INSERT INTO t FORMAT RowBinary\n\x0a\x00", b"INSERT INTO t ", "RowBinary", b"\x0a\x00"),
            (b"insert into t (a, b) format CSV \r\n1,2", b"insert into t (a, b) ", "CSV", b"1,2"),
            (b"INSERT INTO t FORMAT Native", b"INSERT INTO t ", "Native", b""),
            (b"INSERT INTO t FORMAT TSV;\nx", b"INSERT INTO t ", "TSV", b"x"),
            (b"INSERT INTO format FORMAT TSV\nx", b"INSERT INTO format ", "TSV", b"x"),
            (b"INSERT INTO db.values FORMAT TSV\nx", b"INSERT INTO db.values ", "TSV", b"x"),
            (b"INSERT INTO t (`select`, values) FORMAT TSV\nx", b"INSERT INTO t (`select`, values) ", "TSV", b"x"),
            (b"INSERT INTO `a FORMAT b` FORMAT TSV\nx", b"INSERT INTO `a FORMAT b` ", "TSV", b"x"),
            (
                b"/* FORMAT x */ INSERT INTO t -- FORMAT y\nFORMAT TSV\nx",
                b"/* FORMAT x */ INSERT INTO t -- FORMAT y\n",
                "TSV",
                b"x",
            ),
            (
                b"INSERT INTO t SETTINGS a = 'FORMAT z' FORMAT JSONEachRow {\"a\":1}",
                b"INSERT INTO t SETTINGS a = 'FORMAT z' ",
                "JSONEachRow",
                b"{\"a\":1}",
            ),
        ];
        for (text, statement, format, data) in cases {
            assert_eq!(
                split(text),
                Some((*statement, (*format).to_owned(), *data)),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn other_statements_go_to_the_engine_whole() {
        for text in [
            "INSERT INTO t VALUES (1, 'FORMAT x')",
            "INSERT INTO t SELECT 1 FORMAT TSV",
            "INSERT INTO t WITH 1 AS x SELECT x FORMAT TSV",
            "SELECT 'INSERT INTO t FORMAT x'",
            "",
            "(((",
            "FORMAT",
        ] {
            assert_eq!(split(text.as_bytes()), None, "{text}");
        }
        assert!(shape(b"INSERT INTO t SELECT 1").insert);
        assert!(!shape(b"SELECT 1").insert);
    }

    #[test]
    fn the_output_format_is_the_one_outside_brackets_and_strings() {
        for (text, format) in [
            ("SELECT 1 FORMAT JSON", Some("JSON")),
            ("SELECT 1 FORMAT JSONEachRow SETTINGS max_threads = 1", Some("JSONEachRow")),
            ("SELECT format('{} FORMAT x', 1)", None),
            ("SELECT (SELECT 1 FORMAT JSON)", None),
            ("SELECT $x$ FORMAT JSON $x$", None),
            ("SELECT 1 -- FORMAT JSON", None),
            ("SELECT a.format FROM t", None),
        ] {
            assert_eq!(shape(text.as_bytes()).format.as_deref(), format, "{text}");
        }
    }

    #[test]
    fn files_of_the_client_are_seen() {
        for text in
            ["SELECT 1 INTO OUTFILE '/x'", "INSERT INTO t FROM INFILE '/x' FORMAT CSV", "select 1 into\noutfile 'x'"]
        {
            let shape = shape(text.as_bytes());
            assert!(shape.names_file, "{text}");
        }
        assert!(!shape(b"SELECT 'INTO OUTFILE'").names_file);
    }

    #[test]
    fn calls_that_could_read_files_are_seen_however_they_are_spelt() {
        for text in [
            "SELECT file('/etc/passwd')",
            "SELECT x.* APPLY file FROM x",
            "SELECT `file`('/x')",
            "SELECT `fil\\x65`('/x')",
            "SELECT \"\\x66ile\"('/x')",
        ] {
            assert!(may_read_files(text), "{text}");
        }
        for text in ["SELECT profile, file_id FROM t", "SELECT 'a\\nb'", "SELECT `a` FROM t", "SELECT FILE"] {
            assert!(!may_read_files(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_shape_and_data_lies_within(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut insert = b"INSERT INTO t FORMAT RowBinary\n".to_vec();
            insert.extend_from_slice(&text);
            prop_assert_eq!(split(&insert).unwrap().2, &*text);
            if let Some(data) = shape(&text).data {
                prop_assert!(data.statement_end <= data.data_start && data.data_start <= text.len());
            }
        }
    }
}
