//! The statements COPY … TO STDOUT and COPY … FROM STDIN: what is copied, and the form of its rows.

use query::Ident;
use wire::pg_copy::{Force, Form};

use super::command::{Words, identifier};
use super::failure::Failure;

/// A COPY to the client.
#[derive(Debug, PartialEq, Eq)]
pub struct CopyOut {
    pub query: String,
    /// Characters of the statement before its query, where it has one of its own.
    pub before: usize,
    /// None: binary.
    pub form: Option<Form>,
    pub header: bool,
}

/// A COPY from the client.
#[derive(Debug, PartialEq)]
pub struct CopyIn {
    pub table: Ident,
    /// Empty: all.
    pub columns: Vec<Ident>,
    /// None: binary.
    pub form: Option<Form>,
    pub header: Header,
}

/// Whether the first record has names, and whether they must be those of the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    #[default]
    No,
    Yes,
    Match,
}

/// A word of a statement with its place.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    start: usize,
}

impl Word<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    fn is_quoted(&self) -> bool {
        self.text.starts_with('\'')
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

fn words(sql: &str) -> Vec<Word<'_>> {
    let mut words = Words { rest: sql };
    let next = || words.next().map(|text| Word { text, start: sql.len() - words.rest.len() - text.len() });
    std::iter::from_fn(next).collect()
}

/// Returns whether a COPY is one to the client. PostgreSQL takes either name of its side for the other, and PHP relies on it.
pub fn is_copy_out(sql: &str) -> bool {
    let words = words(sql);
    words.windows(2).any(|pair| pair[0].is("to") && SIDES.iter().any(|side| pair[1].is(side)))
}

/// The names of the client's side.
const SIDES: [&str; 2] = ["stdout", "stdin"];

/// What is left of the words of a statement.
struct Reader<'a> {
    words: &'a [Word<'a>],
    end: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Word<'a>> {
        self.words.first().copied()
    }

    fn next(&mut self) -> Option<Word<'a>> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(*first)
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|next| next.is(word));
        if is {
            self.next();
        }
        is
    }

    fn expect(&mut self, word: &str) -> Result<(), Failure> {
        if self.take(word) { Ok(()) } else { Err(self.wrong(&format!("{word} expected in COPY"))) }
    }

    /// Takes a name of the client's side.
    fn expect_side(&mut self, usual: &str) -> Result<(), Failure> {
        if SIDES.iter().any(|side| self.take(side)) { Ok(()) } else { self.expect(usual) }
    }

    /// Returns an error at the next word.
    fn wrong(&self, message: &str) -> Failure {
        let position = self.peek().map_or(self.end, |word| word.start);
        let hint = "COPY table [(columns)] FROM STDIN | COPY table [(columns)] | (query) TO STDOUT \
                    [(FORMAT text|csv|binary, HEADER, DELIMITER, NULL, QUOTE, ESCAPE, FORCE_QUOTE)]";
        Failure { position: Some(position), ..Failure::error("42601", message) }.hint(hint)
    }

    /// Takes what stands in brackets, the opening one already taken; returns where it ends.
    fn bracketed(&mut self) -> Result<usize, Failure> {
        let mut depth = 1;
        while let Some(word) = self.next() {
            depth += match word.text {
                "(" => 1,
                ")" => -1,
                _ => 0,
            };
            if depth == 0 {
                return Ok(word.start);
            }
        }
        Err(self.wrong("COPY has a bracket that does not end"))
    }

    /// Takes a quoted text, `E'…'` too, AS before it or not.
    fn text(&mut self) -> Result<String, Failure> {
        self.take("as");
        let escapes = self.take("e");
        let wrong = self.wrong("a quoted text is expected in COPY");
        let Some(first) = self.next().filter(Word::is_quoted) else { return Err(wrong) };
        let mut text = unquoted(first).to_owned();
        let mut end = first.end();
        // a doubled quote comes as the end of one text and the beginning of the next
        while let Some(next) = self.peek().filter(|next| next.is_quoted() && next.start == end) {
            text.push('\'');
            text.push_str(unquoted(next));
            end = next.end();
            self.next();
        }
        Ok(if escapes { unescaped(&text) } else { text })
    }

    /// Takes a quoted text of one byte.
    fn byte(&mut self, what: &str) -> Result<u8, Failure> {
        let wrong = self.wrong(&format!("COPY {what} must be a single one-byte character"));
        match self.text()?.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            _ => Err(wrong),
        }
    }

    /// Takes `*` or names, in brackets or not.
    fn columns(&mut self) -> Force {
        if self.take("*") {
            return Force::All;
        }
        let bracket = self.take("(");
        let mut names = Vec::new();
        while let Some(word) = self.next() {
            names.push(identifier(word.text));
            if !self.take(",") {
                break;
            }
        }
        if bracket {
            self.take(")");
        }
        Force::Columns(names)
    }
}

fn unquoted(word: Word<'_>) -> &str {
    let open = word.text.strip_prefix('\'').unwrap_or(word.text);
    open.strip_suffix('\'').unwrap_or(open)
}

fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    plain
}

/// What the options of a COPY say.
#[derive(Default)]
struct Options {
    format: Option<String>,
    header: Header,
    delimiter: Option<u8>,
    null: Option<String>,
    quote: Option<u8>,
    escape: Option<u8>,
    force: Option<Force>,
}

impl Options {
    /// Reads one option of either spelling; `listed`: it is one of a list in brackets, where HEADER may have a value.
    fn read(&mut self, reader: &mut Reader, listed: bool) -> Result<(), Failure> {
        let unknown = reader.wrong("COPY option is not known");
        let name = reader.next().map(|word| word.text.to_ascii_lowercase()).unwrap_or_default();
        match name.as_str() {
            "format" => {
                self.format = reader.next().map(|w| identifier(w.text).trim_matches('\'').to_ascii_lowercase());
            }
            "csv" | "binary" if !listed => self.format = Some(name),
            "header" => {
                let off = ["false", "off", "0"];
                let value = reader.peek().filter(|next| listed && next.text != "," && next.text != ")");
                self.header = match value.map(|v| v.text.to_ascii_lowercase()) {
                    Some(value) if off.contains(&value.as_str()) => Header::No,
                    Some(value) if value == "match" => Header::Match,
                    _ => Header::Yes,
                };
                if value.is_some() {
                    reader.next();
                }
            }
            "delimiter" => self.delimiter = Some(reader.byte("delimiter")?),
            "null" => self.null = Some(reader.text()?),
            "quote" => self.quote = Some(reader.byte("quote")?),
            "escape" => self.escape = Some(reader.byte("escape")?),
            "force_quote" => self.force = Some(reader.columns()),
            "force" if reader.take("quote") => self.force = Some(reader.columns()),
            "encoding" => {
                let wrong = reader.wrong("COPY knows UTF8 only");
                let encoding = reader.text()?.to_ascii_lowercase();
                if !matches!(encoding.as_str(), "utf8" | "utf-8") {
                    return Err(wrong);
                }
            }
            _ => return Err(unknown),
        }
        Ok(())
    }

    /// Reads all options, up to the end of the statement.
    fn read_all(reader: &mut Reader) -> Result<Options, Failure> {
        reader.take("with");
        let mut options = Options::default();
        if reader.take("(") {
            loop {
                options.read(reader, true)?;
                if !reader.take(",") {
                    break;
                }
            }
            reader.expect(")")?;
        }
        while reader.peek().is_some() {
            options.read(reader, false)?;
        }
        Ok(options)
    }

    fn form(self, reader: &Reader) -> Result<(Option<Form>, Header), Failure> {
        let only_csv = self.quote.is_some() || self.escape.is_some() || self.force.is_some();
        let form = match self.format.as_deref() {
            Some("binary") => {
                if only_csv || self.header != Header::No || self.delimiter.is_some() || self.null.is_some() {
                    return Err(reader.wrong("COPY in binary form takes no other option"));
                }
                return Ok((None, Header::No));
            }
            Some("csv") => {
                let quote = self.quote.unwrap_or(b'"');
                Form::Csv {
                    delimiter: self.delimiter.unwrap_or(b','),
                    null: self.null.unwrap_or_default(),
                    quote,
                    escape: self.escape.unwrap_or(quote),
                    force: self.force.unwrap_or(Force::None),
                }
            }
            None | Some("text") if !only_csv => Form::Text {
                delimiter: self.delimiter.unwrap_or(b'\t'),
                null: self.null.unwrap_or_else(|| "\\N".into()),
            },
            None | Some("text") => return Err(reader.wrong("COPY quotes values in CSV only")),
            Some(other) => {
                return Err(reader.wrong(&format!("COPY format \"{other}\" is not known: text, csv or binary")));
            }
        };
        Ok((Some(form), self.header))
    }
}

/// Reads a statement by its words; places become characters.
fn read<T>(sql: &str, by: impl FnOnce(&str, &mut Reader) -> Result<T, Failure>) -> Result<T, Failure> {
    let words = words(sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()));
    let mut reader = Reader { words: &words, end: sql.len() };
    by(sql, &mut reader)
        .map_err(|failure| Failure { position: failure.position.map(|bytes| sql[..bytes].chars().count()), ..failure })
}

impl CopyIn {
    /// Reads a COPY … FROM STDIN.
    ///
    /// # Errors
    /// What is no table with columns, and options that are not known, each with its place.
    pub fn read(sql: &str) -> Result<CopyIn, Failure> {
        read(sql, CopyIn::read_words)
    }

    fn read_words(sql: &str, reader: &mut Reader) -> Result<CopyIn, Failure> {
        reader.expect("copy")?;
        let named = |word: Word| Ident { name: identifier(word.text), position: sql[..word.start].chars().count() };
        let wrong = reader.wrong("a table is expected in COPY");
        let Some(mut table) = reader.next() else { return Err(wrong) };
        while reader.take(".") {
            table = reader.next().ok_or_else(|| reader.wrong("a table is expected in COPY"))?;
        }
        let mut columns = Vec::new();
        if reader.take("(") {
            loop {
                columns.push(named(reader.next().ok_or_else(|| reader.wrong("a column is expected in COPY"))?));
                if !reader.take(",") {
                    break;
                }
            }
            reader.expect(")")?;
        }
        reader.expect("from")?;
        reader.expect_side("stdin")?;
        let (form, header) = Options::read_all(reader)?.form(reader)?;
        Ok(CopyIn { table: named(table), columns, form, header })
    }
}

impl CopyOut {
    /// Reads a statement of which [`is_copy_out`] holds.
    ///
    /// # Errors
    /// What is no COPY of a table or a query, and options that are not known, each with its place.
    pub fn read(sql: &str) -> Result<CopyOut, Failure> {
        read(sql, CopyOut::read_words)
    }

    fn read_words(sql: &str, reader: &mut Reader) -> Result<CopyOut, Failure> {
        reader.expect("copy")?;
        let (query, before) = if let Some(bracket) = reader.peek().filter(|word| word.text == "(") {
            reader.next();
            let end = reader.bracketed()?;
            (sql[bracket.end()..end].to_owned(), sql[..bracket.end()].chars().count())
        } else {
            (table_query(sql, reader)?, 0)
        };
        reader.expect("to")?;
        reader.expect_side("stdout")?;
        let (form, header) = Options::read_all(reader)?.form(reader)?;
        if header == Header::Match {
            return Err(reader.wrong("COPY matches a header of data that come in only"));
        }
        Ok(CopyOut { query, before, form, header: header == Header::Yes })
    }

    /// Returns the code of the form of its values.
    pub fn code(&self) -> i8 {
        i8::from(self.form.is_none())
    }
}

/// Takes `table [(columns)]` and returns the query that it stands for.
fn table_query(sql: &str, reader: &mut Reader) -> Result<String, Failure> {
    let wrong = reader.wrong("a table or a query in brackets is expected in COPY");
    let Some(first) = reader.next() else { return Err(wrong) };
    let mut end = first.end();
    while reader.take(".") {
        end = reader.next().ok_or_else(|| reader.wrong("a table is expected in COPY"))?.end();
    }
    let table = &sql[first.start..end];
    let Some(bracket) = reader.peek().filter(|word| word.text == "(") else {
        return Ok(format!("select * from {table}"));
    };
    reader.next();
    let columns_end = reader.bracketed()?;
    Ok(format!("select {} from {table}", &sql[bracket.end()..columns_end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> (String, Option<Form>, bool) {
        assert!(is_copy_out(sql), "{sql}");
        let copy = CopyOut::read(sql).map_err(|f| f.message).unwrap();
        (copy.query, copy.form, copy.header)
    }

    fn text(delimiter: u8, null: &str) -> Option<Form> {
        Some(Form::Text { delimiter, null: null.into() })
    }

    fn csv(delimiter: u8, quote: u8, escape: u8, force: Force) -> Option<Form> {
        Some(Form::Csv { delimiter, null: String::new(), quote, escape, force })
    }

    #[test]
    fn both_spellings_of_the_options_are_read() {
        let all = "select * from t";
        let columns = Force::Columns(vec!["a".into(), "b".into()]);
        for (sql, query, form, header) in [
            ("copy t to stdout;", all, text(b'\t', r"\N"), false),
            ("COPY t TO STDOUT (FORMAT binary)", all, None, false),
            ("copy t to stdout with binary", all, None, false),
            (
                r#"copy "public"."t" (a, "B") to stdout"#,
                r#"select a, "B" from "public"."t""#,
                text(b'\t', r"\N"),
                false,
            ),
            (
                "copy (select ')' a, (1) from t) to stdout csv header",
                "select ')' a, (1) from t",
                csv(b',', b'"', b'"', Force::None),
                true,
            ),
            (
                "copy t to stdout with (format 'csv', header false, force_quote *)",
                all,
                csv(b',', b'"', b'"', Force::All),
                false,
            ),
            (
                r"copy t to stdout with delimiter as ';' csv quote '''' escape e'\\' force quote a, b",
                all,
                csv(b';', b'\'', b'\\', columns),
                false,
            ),
            (r"COPY t TO STDIN WITH DELIMITER E'\t' NULL AS E'\\N'", all, text(b'\t', r"\N"), false),
            (r"COPY t TO stdout WITH DELIMITER AS E'\t' NULL AS E'\\N'", all, text(b'\t', r"\N"), false),
            ("copy t to stdout (null '', encoding 'utf-8', header)", all, text(b'\t', ""), true),
        ] {
            assert_eq!(read(sql), (query.to_owned(), form, header), "{sql}");
        }
    }

    #[test]
    fn a_table_its_columns_and_the_form_of_the_data_are_read() {
        let name = |name: &str, position| Ident { name: name.into(), position };
        let copied = |sql: &str| CopyIn::read(sql).map_err(|failure| failure.message);
        let (columns, form) = (vec![], text(b'\t', r"\N"));
        assert_eq!(copied("copy é from stdin;"), Ok(CopyIn { table: name("é", 5), columns, form, header: Header::No }));
        let columns = vec![name("a", 21), name("B c", 24)];
        let sql = r#"COPY "public"."t x" (a, "B c") FROM STDIN WITH (FORMAT binary)"#;
        assert_eq!(copied(sql), Ok(CopyIn { table: name("t x", 14), columns, form: None, header: Header::No }));
        let sql = "copy t from stdin with csv header delimiter as ';'";
        let form = csv(b';', b'"', b'"', Force::None);
        assert_eq!(copied(sql).map(|copy| (copy.form, copy.header)), Ok((form, Header::Yes)));
        let form = csv(b',', b'"', b'"', Force::None);
        let sql = "copy t from stdin (format csv, header match)";
        assert_eq!(copied(sql).map(|copy| (copy.form, copy.header)), Ok((form, Header::Match)));
        for (sql, message, position) in [
            ("copy t (a from stdin", ") expected in COPY", 10),
            ("copy t from stdin (on_error 'ignore')", "COPY option is not known", 19),
            ("copy (select 1) from stdin", "from expected in COPY", 6),
        ] {
            let failure = CopyIn::read(sql).unwrap_err();
            assert_eq!((failure.message.as_str(), failure.position), (message, Some(position)), "{sql}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (sql, message, position) in [
            ("copy t to stdout (format xml)", "COPY format \"xml\" is not known: text, csv or binary", 29),
            ("copy t to stdout (colour 1)", "COPY option is not known", 18),
            ("copy t to stdout (delimiter '||')", "COPY delimiter must be a single one-byte character", 28),
            ("copy t to stdout (null 1)", "a quoted text is expected in COPY", 23),
            ("copy t to stdout (quote '\"')", "COPY quotes values in CSV only", 28),
            ("copy t to stdout binary header", "COPY in binary form takes no other option", 30),
            ("copy é to stdout (encoding 'latin1')", "COPY knows UTF8 only", 27),
            ("copy (select 1 to stdout", "COPY has a bracket that does not end", 24),
            ("copy to stdout", "to expected in COPY", 8),
        ] {
            let failure = CopyOut::read(sql).unwrap_err();
            assert_eq!((failure.message.as_str(), failure.position), (message, Some(position)), "{sql}");
        }
        assert!(!is_copy_out("copy t from stdin"));
        assert!(!is_copy_out("copy t to 'stdout'"));
    }
}
