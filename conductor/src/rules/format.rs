//! Texts with fields: `{inventory[cpu][count]}`, `{node.name}`, `{item}`, as `str.format` reads them.
//!
//! Reading only: who knows the values gives them through [`Source`]. Nothing of a field is ever called or executed.

use super::RuleError;
use super::value::Text;
use serde_json::Value;
use std::borrow::Cow;

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// `.name`
    Attribute(&'a str),
    /// `[3]`
    Index(usize),
    /// `[name]`
    Key(&'a str),
}

/// How a value is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// As `str` does.
    Plain,
    /// As `repr` does: `!r`.
    Literal,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(Cow<'a, str>),
    Field { root: &'a str, path: Vec<Step<'a>>, print: Print },
}

/// Why a text stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The field is well written, but there is no such value.
    #[error("there is no '{0}'")]
    Missing(String),
    /// No field.
    #[error("{0}")]
    Malformed(String),
    /// The bound of texts.
    #[error(transparent)]
    Bound(#[from] RuleError),
}

/// Who knows the values.
pub trait Source {
    /// Appends the value of a field.
    ///
    /// # Errors
    /// There is none, or it is too long.
    fn print(&self, root: &str, path: &[Step<'_>], print: Print, out: &mut Text) -> Result<(), FormatError>;
}

/// Fills in the fields of a text.
///
/// # Errors
/// The text is malformed, a value is missing, or the result is too long.
pub fn fill(template: &str, source: &dyn Source, out: &mut Text) -> Result<(), FormatError> {
    for piece in pieces(template)? {
        match piece {
            Piece::Text(text) => out.push(&text)?,
            Piece::Field { root, path, print } => source.print(root, &path, print, out)?,
        }
    }
    Ok(())
}

fn malformed<T>(text: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError::Malformed(text.into()))
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, FormatError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        let brace = &from[..1];
        if from[1..].starts_with(brace) {
            pieces.push(Piece::Text(brace.into()));
            rest = &from[2..];
            continue;
        }
        if brace == "}" {
            return malformed("Single '}' encountered in format string");
        }
        let end = field_end(from)?;
        pieces.push(field(&from[1..end])?);
        rest = &from[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// Where the field that begins with `{` ends. Braces inside of brackets are part of a key.
fn field_end(from: &str) -> Result<usize, FormatError> {
    let mut in_brackets = false;
    for (at, char) in from.char_indices().skip(1) {
        match char {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '}' if !in_brackets => return Ok(at),
            '{' if !in_brackets => return malformed("a field inside of a field is not supported"),
            _ => {}
        }
    }
    malformed("expected '}' before end of string")
}

fn field(inner: &str) -> Result<Piece<'_>, FormatError> {
    let mut in_brackets = false;
    let end = inner.find(|char| {
        in_brackets = (in_brackets || char == '[') && char != ']';
        !in_brackets && matches!(char, '!' | ':')
    });
    let (name, tail) = inner.split_at(end.unwrap_or(inner.len()));
    let print = match tail {
        "" | ":" | "!s" | "!s:" => Print::Plain,
        "!r" | "!r:" => Print::Literal,
        _ => return malformed(format!("'{tail}' is not supported; only !r and !s may follow a field")),
    };
    let root_end = name.find(['.', '[']).unwrap_or(name.len());
    let (root, path) = name.split_at(root_end);
    Ok(Piece::Field { root, path: steps(path)?, print })
}

fn steps(mut path: &str) -> Result<Vec<Step<'_>>, FormatError> {
    let mut steps = Vec::new();
    while !path.is_empty() {
        let (word, rest) = if let Some(tail) = path.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            (Step::Attribute(&tail[..end]), &tail[end..])
        } else if let Some(tail) = path.strip_prefix('[') {
            let Some(end) = tail.find(']') else { return malformed("Missing ']' in format string") };
            let key = &tail[..end];
            let digits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
            let step = match key.parse() {
                Ok(index) if digits => Step::Index(index),
                _ if digits => return malformed("Too many decimal digits in format string"),
                _ => Step::Key(key),
            };
            (step, &tail[end + 1..])
        } else {
            return malformed("Only '.' or '[' may follow ']' in format field specifier");
        };
        if matches!(word, Step::Attribute("") | Step::Key("")) {
            return malformed("Empty attribute in format string");
        }
        steps.push(word);
        path = rest;
    }
    Ok(steps)
}

/// The part of `value` that `path` leads to. Attributes are for nodes only; the caller has taken those.
///
/// # Errors
/// No such part. A masked key leads to a masked text.
pub fn part<'v>(value: &'v Value, path: &[Step<'_>], mask: bool) -> Result<Cow<'v, Value>, FormatError> {
    let mut here = value;
    for (at, step) in path.iter().enumerate() {
        here = match (here, step) {
            (Value::Object(map), Step::Key(key)) => {
                let next = map.get(*key).ok_or_else(|| FormatError::Missing((*key).into()))?;
                if mask && super::value::SENSITIVE.contains(key) {
                    return part(&Value::String(super::value::HIDDEN.into()), &path[at + 1..], false)
                        .map(|value| Cow::Owned(value.into_owned()));
                }
                next
            }
            // Keys of JSON are texts: a number is none of them.
            (Value::Object(_), Step::Index(index)) => return Err(FormatError::Missing(index.to_string())),
            (Value::Array(items), Step::Index(index)) => match items.get(*index) {
                Some(item) => item,
                None => return malformed("list index out of range"),
            },
            (Value::String(text), Step::Index(index)) => {
                return match text.chars().nth(*index) {
                    Some(char) => part(&Value::String(char.into()), &path[at + 1..], mask)
                        .map(|value| Cow::Owned(value.into_owned())),
                    None => malformed("string index out of range"),
                };
            }
            (other, Step::Attribute(name)) => {
                return malformed(format!("a {} has no attribute '{name}'", super::value::type_name(other)));
            }
            (other, Step::Key(key)) => {
                return malformed(format!("a {} has no key '{key}'", super::value::type_name(other)));
            }
            (other, Step::Index(_)) => {
                return malformed(format!("a {} has no members", super::value::type_name(other)));
            }
        };
    }
    Ok(Cow::Borrowed(here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Only(Value);

    impl Source for Only {
        fn print(&self, root: &str, path: &[Step<'_>], print: Print, out: &mut Text) -> Result<(), FormatError> {
            let value = self.0.get(root).ok_or_else(|| FormatError::Missing(root.into()))?;
            let value = part(value, path, true)?;
            match print {
                Print::Plain => out.plain(&value, true)?,
                Print::Literal => out.literal(&value, true)?,
            }
            Ok(())
        }
    }

    fn filled(template: &str) -> Result<String, FormatError> {
        let source = Only(json!({"a": {"b": [10, {"c d": "x{"}], "password": "hidden"}, "s": "text"}));
        let mut out = Text::new(1000);
        fill(template, &source, &mut out).map(|()| out.text)
    }

    #[test]
    fn fields_are_filled_in() {
        for (template, text) in [
            ("plain", "plain"),
            ("{a[b][0]}-{s}", "10-text"),
            ("{a[b][1][c d]}", "x{"),
            ("{{{s!r}}}", "{'text'}"),
            ("{s[1]}", "e"),
            ("{a[password]}", "***"),
            ("{a[b]}", "[10, {'c d': 'x{'}]"),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused_and_what_is_missing_is_told_apart() {
        for template in
            ["{", "}", "{a[b}", "{a[b]x}", "{a.b}", "{a[b][9]}", "{s:>99}", "{a[]}", "{a.}", "{a{s}}", "{a.__class__}"]
        {
            assert!(matches!(filled(template), Err(FormatError::Malformed(_))), "{template}");
        }
        for template in ["{x}", "{}", "{a[x]}", "{a[0]}"] {
            assert!(matches!(filled(template), Err(FormatError::Missing(_))), "{template}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_filled_or_refused(template in "[{}\\[\\].!:as0bé]{0,40}") {
            if let Ok(text) = filled(&template) {
                proptest::prop_assert!(text.len() <= 1000);
            }
        }

        #[test]
        fn texts_without_braces_stay(template in "[^{}]{0,60}") {
            proptest::prop_assert_eq!(filled(&template).unwrap(), template);
        }
    }
}
