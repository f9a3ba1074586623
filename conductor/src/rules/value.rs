//! How the reference sees values: how they print, when they are equal, which is less. JSON here, Python there.

use super::RuleError;
use serde_json::{Number, Value};
use std::cmp::Ordering;
use std::fmt::Write;

/// Keys whose values rules may not see when masking is on.
pub const SENSITIVE: &[&str] = &["password", "auth_token", "bmc_password"];

/// What stands in their place.
pub const HIDDEN: &str = "***";

/// A text that grows up to a bound.
pub struct Text {
    /// What was written.
    pub text: String,
    limit: usize,
}

impl Text {
    /// Empty, with room for `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { text: String::new(), limit }
    }

    /// Appends.
    ///
    /// # Errors
    /// The bound is reached.
    pub fn push(&mut self, part: &str) -> Result<(), RuleError> {
        if self.text.len() + part.len() > self.limit {
            return Err(RuleError::Bound(format!("its texts grow beyond {} bytes", super::MAX_TEXT)));
        }
        self.text.push_str(part);
        Ok(())
    }

    /// Appends a value as `str` prints it: texts bare, everything else as a literal.
    ///
    /// # Errors
    /// The bound is reached.
    pub fn plain(&mut self, value: &Value, mask: bool) -> Result<(), RuleError> {
        match value {
            Value::String(text) => self.push(text),
            other => self.literal(other, mask),
        }
    }

    /// Appends a value as a literal of the reference's language.
    ///
    /// # Errors
    /// The bound is reached.
    pub fn literal(&mut self, value: &Value, mask: bool) -> Result<(), RuleError> {
        match value {
            Value::Null => self.push("None"),
            Value::Bool(true) => self.push("True"),
            Value::Bool(false) => self.push("False"),
            Value::Number(number) => self.push(&number_text(number)),
            Value::String(text) => self.push(&quoted(text)),
            Value::Array(items) => {
                self.push("[")?;
                for (at, item) in items.iter().enumerate() {
                    self.push(if at == 0 { "" } else { ", " })?;
                    self.literal(item, mask)?;
                }
                self.push("]")
            }
            Value::Object(map) => {
                self.push("{")?;
                for (at, (key, item)) in map.iter().enumerate() {
                    self.push(if at == 0 { "" } else { ", " })?;
                    self.push(&quoted(key))?;
                    self.push(": ")?;
                    match mask && SENSITIVE.contains(&key.as_str()) {
                        true => self.push(&quoted(HIDDEN))?,
                        false => self.literal(item, mask)?,
                    }
                }
                self.push("}")
            }
        }
    }
}

/// A value as `str` prints it.
///
/// # Errors
/// It is longer than [`super::MAX_TEXT`].
pub fn text(value: &Value) -> Result<String, RuleError> {
    let mut text = Text::new(super::MAX_TEXT);
    text.plain(value, false)?;
    Ok(text.text)
}

fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let text = format!("{float:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
            format!("{digits}e{sign}{size:0>2}")
        }
        None => text,
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char == quote => out.extend(['\\', char]),
            char if char < ' ' || ('\u{7f}'..='\u{a0}').contains(&char) || char == '\u{ad}' => {
                // Writing into a String does not fail.
                let _ = write!(out, "\\x{:02x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push(quote);
    out
}

/// A number, where false and true count as 0 and 1.
fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(flag) => Some(Number::from(u8::from(*flag))),
        Value::Number(number) => Some(number.clone()),
        _ => None,
    }
}

fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// `a == b`.
pub fn equal(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return compare(&a, &b) == Some(Ordering::Equal);
    }
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// `a < b` as [`Ordering::Less`], and so on.
///
/// # Errors
/// Values of these types have no order; the text says which.
pub fn order(a: &Value, b: &Value, sign: &str) -> Result<Ordering, RuleError> {
    let refused = || {
        RuleError::Condition(format!(
            "'{sign}' not supported between instances of '{}' and '{}'; give both the same type, or compare in a loop",
            type_name(a),
            type_name(b)
        ))
    };
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return compare(&a, &b).ok_or_else(refused);
    }
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Array(left), Value::Array(right)) => match left.iter().zip(right).find(|(a, b)| !equal(a, b)) {
            Some((a, b)) => order(a, b, sign),
            None => Ok(left.len().cmp(&right.len())),
        },
        _ => Err(refused()),
    }
}

/// Whether a value counts as true.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// The reference's name of a type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_the_reference_prints_them() {
        let value = json!({"a": [1, 2.5, true, null], "it's": "x\n\"", "password": "p"});
        assert_eq!(text(&value).unwrap(), r#"{'a': [1, 2.5, True, None], "it's": 'x\n"', 'password': 'p'}"#);
        let mut masked = Text::new(100);
        masked.plain(&value["password"], true).unwrap();
        masked.plain(&json!([{"password": "p"}]), true).unwrap();
        assert_eq!(masked.text, "p[{'password': '***'}]", "a bare value is masked by whoever looked it up");
        for (number, printed) in
            [(json!(1e16), "1e+16"), (json!(1e-5), "1e-05"), (json!(0.1), "0.1"), (json!(3.0), "3.0")]
        {
            assert_eq!(text(&number).unwrap(), printed);
        }
    }

    #[test]
    fn a_text_never_grows_beyond_its_bound() {
        let mut text = Text::new(4);
        assert!(text.plain(&json!("12345"), false).is_err() && text.push("1234").is_ok() && text.push("5").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_less_is_not_equal(a in -9i64..9, b in -9.0f64..9.0) {
            let (a, b) = (json!(a), json!(b));
            let order = order(&a, &b, "<").unwrap();
            proptest::prop_assert_eq!(order == Ordering::Equal, equal(&a, &b));
        }
    }
}
