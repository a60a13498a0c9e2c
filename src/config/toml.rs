//! Reads TOML into a flat map of dotted keys.
//!
//! Reads the events of `toml_parser`, the parser of the `toml` crate, instead of a tree of tables: in a flat map,
//! `objects = […]` and `objects.deals.schema = "…"` are two independent keys, while a tree refuses the second. Tables,
//! dotted keys and inline tables all give the same dotted keys, in the order of the file. Repeated keys are reported
//! when the map is read.

use std::{fs, path::Path, sync::Arc};

use toml_parser::{
    ErrorSink, Expected, ParseError, Source, Span,
    decoder::ScalarKind,
    parser::{Event, EventKind, RecursionGuard, ValidateWhitespace, parse_document},
};
use towpath_keys::{ConfigFile, Flat, Origin, Problem, Scalar, alternatives, codes};

/// The maximum nesting of arrays and inline tables.
const MAX_DEPTH: u32 = 16;

/// Reads a config file.
///
/// # Errors
/// The file cannot be read or is not TOML. Names all places, quotes no line.
pub fn load(path: &Path) -> Result<Flat, Vec<Problem>> {
    let text = fs::read_to_string(path).map_err(|error| {
        let file = ConfigFile::new(path, "");
        let problem = Problem::new(codes::SYNTAX, "", format!("cannot read the file: {error}"));
        vec![problem.at(Some(Origin::file(file)))]
    })?;
    parse(path, &text)
}

/// Reads the text of a config file. Problems name `path`, and relative paths start at its folder.
///
/// # Errors
/// The text is not TOML. Names all places, quotes no line.
pub fn parse(path: &Path, text: &str) -> Result<Flat, Vec<Problem>> {
    let source = Source::new(text);
    let mut errors: Vec<ParseError> = Vec::new();
    let mut events: Vec<Event> = Vec::new();
    let tokens = source.lex().into_vec();
    let mut validated = ValidateWhitespace::new(&mut events, source);
    parse_document(&tokens, &mut RecursionGuard::new(&mut validated, MAX_DEPTH), &mut errors);
    events.retain(|event| !matches!(event.kind(), EventKind::Whitespace | EventKind::Comment | EventKind::Newline));

    let file = ConfigFile::new(path, text);
    let mut reader = Reader {
        source,
        events: events.into_iter().peekable(),
        flat: Flat::of_file(file.clone()),
        file: file.clone(),
        errors,
    };
    reader.document();
    if reader.errors.is_empty() {
        return Ok(reader.flat);
    }
    let mut problems: Vec<Problem> = reader.errors.iter().map(|error| syntax_problem(&file, error)).collect();
    problems.sort_by_key(|problem| problem.origin.as_ref().map(|origin| (origin.line, origin.column)));
    problems.dedup_by(|later, earlier| later.origin == earlier.origin);
    Err(problems)
}

struct Reader<'a> {
    source: Source<'a>,
    events: std::iter::Peekable<std::vec::IntoIter<Event>>,
    file: Arc<ConfigFile>,
    flat: Flat,
    errors: Vec<ParseError>,
}

impl Reader<'_> {
    fn document(&mut self) {
        let mut table = String::new();
        while let Some(event) = self.events.peek().copied() {
            match event.kind() {
                EventKind::SimpleKey => self.key_and_value(&table),
                EventKind::StdTableOpen => {
                    self.events.next();
                    table = self.key("").0;
                }
                EventKind::ArrayTableOpen => {
                    self.refuse("a flat map of keys cannot have a list of tables", event.span());
                    self.events.next();
                    table = self.key("").0;
                }
                _ => {
                    self.events.next();
                }
            }
        }
    }

    /// `key = value` within `table`.
    fn key_and_value(&mut self, table: &str) {
        let (key, key_span) = self.key(table);
        if self.events.next_if(|event| event.kind() == EventKind::KeyValSep).is_none() {
            return;
        }
        if self.events.peek().is_some_and(|event| event.kind() == EventKind::InlineTableOpen) {
            self.inline_table(&key);
        } else if let Some((value, value_span)) = self.value() {
            let origin =
                Origin::new(self.file.clone(), key_span.start()..key_span.end(), value_span.start()..value_span.end());
            self.flat.push(key, value, Some(origin));
        }
    }

    /// A dotted key, prefixed with `table`, and its place.
    fn key(&mut self, table: &str) -> (String, Span) {
        let mut key = table.to_owned();
        let mut span: Option<Span> = None;
        while let Some(event) =
            self.events.next_if(|event| matches!(event.kind(), EventKind::SimpleKey | EventKind::KeySep))
        {
            span = Some(span.map_or(event.span(), |span| span.append(event.span())));
            if event.kind() == EventKind::SimpleKey {
                let mut word = std::borrow::Cow::Borrowed("");
                if let Some(raw) = self.source.get(event) {
                    raw.decode_key(&mut word, &mut self.errors);
                }
                if !key.is_empty() {
                    key.push('.');
                }
                key.push_str(&word);
            }
        }
        (key, span.unwrap_or_default())
    }

    fn inline_table(&mut self, table: &str) {
        self.events.next();
        while let Some(event) = self.events.peek().copied() {
            match event.kind() {
                EventKind::SimpleKey => self.key_and_value(table),
                EventKind::InlineTableClose => {
                    self.events.next();
                    return;
                }
                // The next line. The parser has reported that the table is not closed.
                EventKind::StdTableOpen | EventKind::ArrayTableOpen => return,
                _ => {
                    self.events.next();
                }
            }
        }
    }

    fn value(&mut self) -> Option<(Scalar, Span)> {
        let event = self.events.next_if(|event| matches!(event.kind(), EventKind::Scalar | EventKind::ArrayOpen))?;
        if event.kind() == EventKind::Scalar {
            return Some((self.scalar(event), event.span()));
        }
        let mut items = Vec::new();
        while let Some(next) = self.events.peek().copied() {
            match next.kind() {
                EventKind::ArrayClose => {
                    self.events.next();
                    return Some((Scalar::List(items), event.span().append(next.span())));
                }
                EventKind::InlineTableOpen => {
                    self.refuse("a flat map of keys cannot have a table within a list", next.span());
                    self.inline_table("");
                }
                EventKind::Scalar | EventKind::ArrayOpen => items.extend(self.value().map(|(value, _)| value)),
                EventKind::SimpleKey | EventKind::StdTableOpen | EventKind::ArrayTableOpen => break,
                _ => {
                    self.events.next();
                }
            }
        }
        Some((Scalar::List(items), event.span()))
    }

    fn scalar(&mut self, event: Event) -> Scalar {
        let mut text = std::borrow::Cow::Borrowed("");
        let Some(raw) = self.source.get(event) else { return Scalar::String(String::new()) };
        let value = match raw.decode_scalar(&mut text, &mut self.errors) {
            ScalarKind::String | ScalarKind::DateTime => Some(Scalar::String(text.to_string())),
            ScalarKind::Boolean(truth) => Some(Scalar::Bool(truth)),
            ScalarKind::Float => text.parse().ok().map(Scalar::Float),
            ScalarKind::Integer(radix) => i64::from_str_radix(&text, radix.value()).ok().map(Scalar::Integer),
        };
        value.unwrap_or_else(|| {
            self.refuse("the number is out of range", event.span());
            Scalar::Integer(0)
        })
    }

    fn refuse(&mut self, why: &'static str, at: Span) {
        self.errors.report_error(ParseError::new(why).with_unexpected(at));
    }
}

/// The parser's descriptions are fixed, so they contain no text of the file.
fn syntax_problem(file: &Arc<ConfigFile>, error: &ParseError) -> Problem {
    let mut message = error.description().to_owned();
    let expected: Vec<String> = error.expected().unwrap_or_default().iter().filter_map(words).collect();
    if !expected.is_empty() {
        message = format!("{message}, expected {}", alternatives(&expected));
    }
    let at = error.unexpected().or(error.context()).map_or(0..0, |span| span.start()..span.start());
    Problem::new(codes::SYNTAX, "", message).at(Some(Origin::new(file.clone(), at.clone(), at)))
}

fn words(expected: &Expected) -> Option<String> {
    match expected {
        Expected::Literal("\n") => Some("the end of the line".to_owned()),
        Expected::Literal(text) => Some(format!("`{text}`")),
        Expected::Description(text) => Some((*text).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
