//! The operators of conditions: what each takes and when it holds.

use super::args::Signature;
use super::net::{Network, address};
use super::{RuleError, pattern, value};
use crate::model::named::named;
use serde_json::{Map, Value};
use std::cmp::Ordering;

named! {
    /// An operator.
    Operator {
        /// All neighbours are equal.
        Eq = "eq",
        /// Every value is less than the next.
        Lt = "lt",
        /// Every value is greater than the next.
        Gt = "gt",
        /// Nothing, or an empty text, list or object.
        IsEmpty = "is-empty",
        /// The address lies in the network.
        InNet = "in-net",
        /// The whole text matches.
        Matches = "matches",
        /// Some part of the text matches.
        Contains = "contains",
        /// One of a list.
        OneOf = "one-of",
        /// Null.
        IsNone = "is-none",
        /// True, a number other than 0, `yes` or `true`.
        IsTrue = "is-true",
        /// False, 0, null, `no` or `false`.
        IsFalse = "is-false",
    }
}

const SIMPLE: Signature = Signature { required: &["values"], optional: &["force_strings"], formatted: &["values"] };
const VALUE: Signature = Signature { required: &["value"], optional: &[], formatted: &["value"] };
const NET: Signature = Signature { required: &["address", "subnet"], optional: &[], formatted: &["address", "subnet"] };
const REGEX: Signature = Signature { required: &["value", "regex"], optional: &[], formatted: &["value"] };
const ONE_OF: Signature = Signature { required: &["value"], optional: &["values"], formatted: &["value"] };

impl Operator {
    /// Takes `!op` apart: the operator, and whether its answer is turned round.
    pub fn parse(word: &str) -> Option<(Operator, bool)> {
        match word.strip_prefix('!') {
            Some(word) => Some((Operator::from_name(word)?, true)),
            None => Some((Operator::from_name(word)?, false)),
        }
    }

    /// What it takes.
    pub fn signature(self) -> Signature {
        match self {
            Operator::Eq | Operator::Lt | Operator::Gt => SIMPLE,
            Operator::InNet => NET,
            Operator::Matches | Operator::Contains => REGEX,
            Operator::OneOf => ONE_OF,
            Operator::IsEmpty | Operator::IsNone | Operator::IsTrue | Operator::IsFalse => VALUE,
        }
    }

    /// Whether it holds. `in_loop`: everything is compared as text, because filling in makes texts of numbers.
    ///
    /// # Errors
    /// It cannot be answered for these values.
    pub fn holds(self, args: &Map<String, Value>, in_loop: bool) -> Result<bool, RuleError> {
        let arg = |name: &str| args.get(name).unwrap_or(&Value::Null);
        match self {
            Operator::Eq | Operator::Lt | Operator::Gt => {
                self.neighbours(arg("values"), in_loop || value::truthy(arg("force_strings")))
            }
            Operator::IsEmpty => Ok(is_empty(arg("value"))),
            Operator::InNet => in_net(arg("address"), arg("subnet")),
            Operator::Matches => pattern::matches(regex(arg("regex"))?, &value::text(arg("value"))?),
            Operator::Contains => pattern::contains(regex(arg("regex"))?, &value::text(arg("value"))?),
            Operator::OneOf => one_of(arg("value"), args.get("values")),
            Operator::IsNone => Ok(arg("value").is_null()),
            Operator::IsTrue => Ok(match arg("value") {
                Value::String(word) => matches!(word.to_lowercase().as_str(), "yes" | "true"),
                value @ (Value::Bool(_) | Value::Number(_)) => value::truthy(value),
                _ => false,
            }),
            Operator::IsFalse => Ok(match arg("value") {
                Value::String(word) => matches!(word.to_lowercase().as_str(), "no" | "false"),
                value @ (Value::Bool(_) | Value::Number(_) | Value::Null) => !value::truthy(value),
                _ => false,
            }),
        }
    }

    fn neighbours(self, values: &Value, as_text: bool) -> Result<bool, RuleError> {
        let Value::Array(values) = values else {
            return Err(RuleError::Condition(format!(
                "Failed to check condition: '{self}': Expected list for 'values', got: {}",
                value::type_name(values)
            )));
        };
        for pair in values.windows(2) {
            let texts;
            let (a, b) = if as_text {
                texts = (Value::String(value::text(&pair[0])?), Value::String(value::text(&pair[1])?));
                (&texts.0, &texts.1)
            } else {
                (&pair[0], &pair[1])
            };
            let holds = match self {
                Operator::Lt => value::order(a, b, "<")? == Ordering::Less,
                Operator::Gt => value::order(a, b, ">")? == Ordering::Greater,
                _ => value::equal(a, b),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What prints as nothing counts as empty, the word `None` too: it is how a missing field looks once it is filled in.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => matches!(text.as_str(), "" | "None" | "[]" | "{}"),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn in_net(asked: &Value, subnet: &Value) -> Result<bool, RuleError> {
    let shown = |value: &Value| value::text(value).unwrap_or_default();
    let network = subnet
        .as_str()
        .and_then(Network::parse)
        .ok_or_else(|| RuleError::Condition(format!("invalid value: '{}' is no IP network", shown(subnet))))?;
    let address = address(asked).ok_or_else(|| {
        RuleError::Condition(format!("'{}' is no IP address, so it lies in no network", shown(asked)))
    })?;
    Ok(network.contains(address))
}

fn regex(value: &Value) -> Result<&str, RuleError> {
    value.as_str().ok_or_else(|| {
        RuleError::Condition(format!("a regular expression is a text, not a {}", value::type_name(value)))
    })
}

fn one_of(asked: &Value, values: Option<&Value>) -> Result<bool, RuleError> {
    let refused = |text: String| Err(RuleError::Condition(text));
    match (values, asked) {
        (None, _) => Ok(false),
        (Some(Value::Array(items)), _) => Ok(items.iter().any(|item| value::equal(item, asked))),
        (Some(Value::String(text)), Value::String(part)) => Ok(text.contains(part.as_str())),
        (Some(Value::Object(map)), Value::String(key)) => Ok(map.contains_key(key)),
        (Some(Value::Object(_)), Value::Array(_) | Value::Object(_)) | (Some(Value::String(_)), _) => {
            refused(format!("a {} cannot be looked for in 'values'", value::type_name(asked)))
        }
        (Some(Value::Object(_)), _) => Ok(false),
        (Some(other), _) => refused(format!("'values' must be a list, not a {}", value::type_name(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(word: &str, args: Value) -> Result<bool, RuleError> {
        let (operator, _) = Operator::parse(word).unwrap();
        operator.holds(&operator.signature().by_name(&args).unwrap(), false)
    }

    #[test]
    fn every_operator_has_a_case_that_holds_and_one_that_does_not() {
        for (word, yes, no) in [
            ("eq", json!([[1, 1.0, true]]), json!([[1, "1"]])),
            ("lt", json!([[1, 2, 3]]), json!([[1, 3, 2]])),
            ("gt", json!([["b", "a"]]), json!([[1, 1]])),
            ("is-empty", json!(["None"]), json!([0])),
            ("in-net", json!(["10.0.0.1", "10.0.0.0/8"]), json!(["11.0.0.1", "10.0.0.0/8"])),
            ("matches", json!(["abc", "a.c"]), json!(["abcd", "a.c"])),
            ("contains", json!(["xabcx", "a.c"]), json!(["xabx", "a.c"])),
            ("one-of", json!([2, [1, 2]]), json!([3, [1, 2]])),
            ("is-none", json!([null]), json!(["None"])),
            ("is-true", json!(["Yes"]), json!(["on"])),
            ("is-false", json!([null]), json!([[]])),
        ] {
            assert_eq!((holds(word, yes), holds(word, no)), (Ok(true), Ok(false)), "{word}");
        }
        assert_eq!(Operator::ALL.len(), 11);
    }

    #[test]
    fn what_has_no_answer_is_an_error_and_not_a_no() {
        for (word, args) in [
            ("eq", json!(["text"])),
            ("lt", json!([[1, "2"]])),
            ("in-net", json!(["nobody", "10.0.0.0/8"])),
            ("in-net", json!(["10.0.0.1", "10.0.0.0/99"])),
            ("matches", json!(["a", "("])),
            ("matches", json!(["a", 3])),
            ("one-of", json!([1, 5])),
        ] {
            assert!(matches!(holds(word, args), Err(RuleError::Condition(_))), "{word}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_upsets_an_operator(index in 0usize..11, text in ".{0,12}", number: i64, flag: bool) {
            let operator = Operator::ALL[index];
            for value in [json!(text), json!(number), json!([text, number]), json!({"k": text}), json!(flag), Value::Null] {
                for name in ["value", "values", "address", "regex"] {
                    let args = json!({name: value, "value": text, "subnet": text, "regex": "a"});
                    let _ = operator.holds(args.as_object().unwrap(), flag);
                }
            }
        }
    }
}
