//! The grammar of the legacy query text (reference, section 2.5): words, properties with a comparison, `not`, `or`,
//! parentheses, and conditions on children, such as `call( date >= "2026-01-01" )`. This file reads the form only;
//! `property` gives it a meaning.

use winnow::{
    ascii::{Caseless, multispace0, multispace1},
    combinator::{alt, cut_err, delimited, eof, not, opt, peek, preceded, repeat, separated, terminated},
    prelude::*,
    token::{any, none_of, one_of, take_while},
};

use super::condition::Op;

/// A parsed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// `*`
    Every,
    /// A word; several only if a text cannot be parsed.
    Word(String),
    /// Words in quotes.
    Phrase(String),
    /// `name op value`
    Property(String, Op, Literal),
    /// `name in (value, …)`
    OneOf(String, Vec<Literal>),
    /// `name( … )`
    Related(String, Box<Term>),
    /// `not …`
    Not(Box<Term>),
    /// Juxtaposed terms.
    All(Vec<Term>),
    /// `… or …`
    Any(Vec<Term>),
}

/// The value that a property is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `*`: any value.
    Every,
    /// Text, a number, a date, an id.
    Text(String),
}

/// Deeper nesting is read as words: each level takes a frame of the stack.
const MAX_DEPTH: usize = 100;

/// Parses a text. A text that does not parse is read as words, as in Close: no text is refused.
pub fn read(text: &str) -> Term {
    let nested = text.bytes().filter(|byte| *byte == b'(').count();
    let parsed = if nested > MAX_DEPTH { None } else { query.parse(text).ok() };
    parsed.unwrap_or_else(|| Term::Word(text.to_owned()))
}

fn query(input: &mut &str) -> ModalResult<Term> {
    let found = opt(either).parse_next(input)?;
    (multispace0, eof).parse_next(input)?;
    Ok(found.unwrap_or(Term::Every))
}

fn either(input: &mut &str) -> ModalResult<Term> {
    let mut terms: Vec<Term> = separated(1.., sequence, keyword("or")).parse_next(input)?;
    Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Any(terms) })
}

fn sequence(input: &mut &str) -> ModalResult<Term> {
    let item = preceded(opt(keyword("and")), preceded(not(keyword("or")), negated));
    let mut terms: Vec<Term> = repeat(1.., item).parse_next(input)?;
    Ok(if terms.len() == 1 { terms.remove(0) } else { Term::All(terms) })
}

fn negated(input: &mut &str) -> ModalResult<Term> {
    let minus = (multispace0, '-', peek(none_of([' ', '\t', '\n', '-']))).void();
    let nots: Vec<()> = repeat(0.., alt((keyword("not"), minus))).parse_next(input)?;
    let term = preceded(multispace0, alt((group, every, related, one_of_values, property, word))).parse_next(input)?;
    Ok(if nots.len() % 2 == 1 { Term::Not(Box::new(term)) } else { term })
}

fn group(input: &mut &str) -> ModalResult<Term> {
    delimited('(', cut_err(either), cut_err((multispace0, ')'))).parse_next(input)
}

fn every(input: &mut &str) -> ModalResult<Term> {
    terminated('*', boundary).map(|_| Term::Every).parse_next(input)
}

fn related(input: &mut &str) -> ModalResult<Term> {
    let inside = delimited('(', cut_err(opt(either)), cut_err((multispace0, ')')));
    (ident, inside).map(|(name, term)| Term::Related(name, Box::new(term.unwrap_or(Term::Every)))).parse_next(input)
}

fn one_of_values(input: &mut &str) -> ModalResult<Term> {
    let list = separated(1.., delimited(multispace0, literal, multispace0), ',');
    (terminated(name, (multispace1, Caseless("in"), multispace0, '(')), terminated(list, ')'))
        .map(|(name, values)| Term::OneOf(name, values))
        .parse_next(input)
}

fn property(input: &mut &str) -> ModalResult<Term> {
    let comparison = delimited(
        multispace0,
        alt((
            "!=".value(Op::IsNot),
            ">=".value(Op::Gte),
            "<=".value(Op::Lte),
            '>'.value(Op::Gt),
            '<'.value(Op::Lt),
            '='.value(Op::Is),
        )),
        multispace0,
    );
    let colon = terminated(':', multispace0).value(Op::Is);
    (name, alt((colon, comparison)), literal)
        .map(|(name, op, literal)| Term::Property(name, op, literal))
        .parse_next(input)
}

fn word(input: &mut &str) -> ModalResult<Term> {
    let bare = take_while(1.., |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '"'));
    alt((quoted.map(Term::Phrase), bare.map(|text: &str| Term::Word(text.to_owned())))).parse_next(input)
}

fn name(input: &mut &str) -> ModalResult<String> {
    alt((quoted, ident)).parse_next(input)
}

fn ident(input: &mut &str) -> ModalResult<String> {
    take_while(1.., |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-')).map(str::to_owned).parse_next(input)
}

fn literal(input: &mut &str) -> ModalResult<Literal> {
    let bare = take_while(1.., |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | ','));
    alt((
        terminated('*', boundary).value(Literal::Every),
        quoted.map(Literal::Text),
        bare.map(|text: &str| Literal::Text(text.to_owned())),
    ))
    .parse_next(input)
}

fn quoted(input: &mut &str) -> ModalResult<String> {
    let character = alt((none_of(['"', '\\']), preceded('\\', any)));
    let text = repeat(0.., character).fold(String::new, |mut text: String, c| {
        text.push(c);
        text
    });
    delimited('"', text, '"').parse_next(input)
}

/// A keyword in any case, with its leading blanks.
fn keyword<'i>(word: &'static str) -> impl Parser<&'i str, (), winnow::error::ErrMode<winnow::error::ContextError>> {
    (multispace0, Caseless(word), boundary).void()
}

/// Nothing that would make the word before it longer.
fn boundary(input: &mut &str) -> ModalResult<()> {
    alt((eof.void(), peek(one_of([' ', '\t', '\r', '\n', '(', ')', '"', ','])).void())).parse_next(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is(name: &str, value: &str) -> Term {
        Term::Property(name.to_owned(), Op::Is, Literal::Text(value.to_owned()))
    }

    fn compared(name: &str, op: Op, value: &str) -> Term {
        Term::Property(name.to_owned(), op, Literal::Text(value.to_owned()))
    }

    #[test]
    fn what_clients_send_has_the_form_that_they_mean() {
        for (text, term) in [
            ("", Term::Every),
            ("* sort:created", Term::All(vec![Term::Every, is("sort", "created")])),
            (
                "sort:-date_updated slice:1/5 contacts > 1",
                Term::All(vec![is("sort", "-date_updated"), is("slice", "1/5"), compared("contacts", Op::Gt, "1")]),
            ),
            (
                "date_updated>=\"2026-01-01T10:00\" sort:date_updated",
                Term::All(vec![compared("date_updated", Op::Gte, "2026-01-01T10:00"), is("sort", "date_updated")]),
            ),
            (
                "\"custom.A\":* not \"custom.B\":* sort:created",
                Term::All(vec![
                    Term::Property("custom.A".to_owned(), Op::Is, Literal::Every),
                    Term::Not(Box::new(Term::Property("custom.B".to_owned(), Op::Is, Literal::Every))),
                    is("sort", "created"),
                ]),
            ),
            (
                "call( date >= \"2024-01-01\" date < \"2024-02-01\")",
                Term::Related(
                    "call".to_owned(),
                    Box::new(Term::All(vec![
                        compared("date", Op::Gte, "2024-01-01"),
                        compared("date", Op::Lt, "2024-02-01"),
                    ])),
                ),
            ),
            (
                "contact(sequence_subscription(sequence:*)) ",
                Term::Related(
                    "contact".to_owned(),
                    Box::new(Term::Related(
                        "sequence_subscription".to_owned(),
                        Box::new(Term::Property("sequence".to_owned(), Op::Is, Literal::Every)),
                    )),
                ),
            ),
            (
                "(name:\"Blue Harbor\" OR notify) AND nothing",
                Term::All(vec![
                    Term::Any(vec![is("name", "Blue Harbor"), Term::Word("notify".to_owned())]),
                    Term::Word("nothing".to_owned()),
                ]),
            ),
            (
                "status in (\"a b\", c)",
                Term::OneOf("status".to_owned(), vec![Literal::Text("a b".to_owned()), Literal::Text("c".to_owned())]),
            ),
            ("\"Blue Harbor\"", Term::Phrase("Blue Harbor".to_owned())),
            ("-name:x", Term::Not(Box::new(is("name", "x")))),
            ("john@acme.example", Term::Word("john@acme.example".to_owned())),
            ("name:\"say \\\"hi\\\"\"", is("name", "say \"hi\"")),
            ("(unbalanced", Term::Word("(unbalanced".to_owned())),
        ] {
            assert_eq!(read(text), term, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_in_reasonable_time(text in "[a-z()\"*:<>= orant-]{0,120}") {
            read(&text);
        }
    }

    #[test]
    fn deep_nesting_is_words() {
        let text = "a(".repeat(50_000);
        assert_eq!(read(&text), Term::Word(text.clone()));
        read(&"a(".repeat(90));
        read(&"not ".repeat(50_000));
    }
}
