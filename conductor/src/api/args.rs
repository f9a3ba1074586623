//! Named arguments of a call, from JSON body, form and query together (rest-api section 1.1).

use super::call::{BodyKind, Call};
use super::error::ApiError;
use super::python;
use serde_json::Value;

/// The words that clients send for true and false, as the refusal lists them.
const WORDS: &str = "'0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'";

/// The arguments of one call; only names that the call knows.
#[derive(Clone, Debug)]
pub struct Args(Vec<(String, Value)>);

impl Args {
    /// Collects them from everywhere; the body wins over the query.
    ///
    /// # Errors
    /// 400 for names that the call does not know, and for a body that is no object.
    pub fn read(call: &Call, known: &[&str]) -> Result<Self, ApiError> {
        let mut values = Vec::new();
        match call.kind {
            BodyKind::Json => match call.json()? {
                Some(Value::Object(map)) => values.extend(map),
                Some(Value::Null) | None => {}
                Some(_) => {
                    return Err(ApiError::invalid("The request body must be a JSON object with named arguments"));
                }
            },
            BodyKind::Form => {
                let pairs = url::form_urlencoded::parse(&call.body);
                values.extend(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))));
            }
            BodyKind::Other => {}
        }
        values.extend(merged(&call.query));
        Self::known(values, known)
    }

    /// Only the query: reads have no body.
    ///
    /// # Errors
    /// 400 for names that the call does not know.
    pub fn query(call: &Call, known: &[&str]) -> Result<Self, ApiError> {
        Self::known(merged(&call.query), known)
    }

    fn known(values: Vec<(String, Value)>, known: &[&str]) -> Result<Self, ApiError> {
        let unknown: Vec<&str> =
            values.iter().map(|(name, _)| name.as_str()).filter(|name| !known.contains(name)).collect();
        if unknown.is_empty() {
            return Ok(Args(values));
        }
        let list: String = unknown.join(", ").chars().take(200).collect();
        Err(ApiError::invalid(format!("Unexpected arguments: {list}")))
    }

    /// The value, `None` when absent or null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// The argument was given, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// A text.
    ///
    /// # Errors
    /// 400 for other types.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) if ["rescue_password", "agent_token", "configdrive"].contains(&name) => {
                Err(ApiError::invalid(format!("Expected string for {name}")))
            }
            Some(other) => Err(ApiError::invalid(format!("Expected string for {name}: {}", python::repr(other)))),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// 400.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::invalid(format!("Missing mandatory parameter: {name}")))
    }

    /// A boolean or one of its words.
    ///
    /// # Errors
    /// 400.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.value(name).map(|value| boolean(name, value).map_err(ApiError::invalid)).transpose()
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let shown = value.as_str().map_or_else(|| python::repr(value), str::to_owned);
        number.map(Some).ok_or_else(|| ApiError::invalid(format!("Expected an integer for {name}: {}", cut(&shown))))
    }

    /// Words with commas between them, also where the client names the argument once for each (gophercloud does).
    ///
    /// # Errors
    /// 400 for other types.
    pub fn words(&self, name: &str) -> Result<Option<String>, ApiError> {
        if let Some(Value::Array(words)) = self.value(name)
            && let Some(words) = words.iter().map(Value::as_str).collect::<Option<Vec<_>>>()
        {
            return Ok(Some(words.join(",")));
        }
        Ok(self.text(name)?.map(str::to_owned))
    }

    /// A comma-separated list, empty when absent.
    ///
    /// # Errors
    /// 400.
    pub fn list(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let text = self.words(name)?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }
}

/// The arguments of a query; one that is named several times is a list.
fn merged(query: &[(String, String)]) -> Vec<(String, Value)> {
    let mut values: Vec<(String, Value)> = Vec::with_capacity(query.len());
    for (name, text) in query {
        let text = Value::String(text.clone());
        match values.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value) {
            None => values.push((name.clone(), text)),
            Some(Value::Array(list)) => list.push(text),
            Some(first) => *first = Value::Array(vec![first.take(), text]),
        }
    }
    values
}

/// A boolean or one of its words; `name` for the refusal.
///
/// # Errors
/// The sentence of the contract.
pub fn boolean(name: &str, value: &Value) -> Result<bool, String> {
    let word = match value {
        Value::Bool(value) => return Ok(*value),
        Value::String(text) => text.clone(),
        other => python::repr(other),
    };
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Ok(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Ok(false),
        _ => Err(format!("Invalid {name}: Unrecognized value '{}', acceptable values are: {WORDS}", cut(&word))),
    }
}

/// What a client sent, short enough for an error text.
pub fn cut(text: &str) -> String {
    text.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_booleans_and_others_are_named() {
        assert_eq!(boolean("x", &json!("YES")), Ok(true));
        assert_eq!(boolean("x", &json!(0)), Ok(false));
        let error = boolean("maintenance", &json!("maybe")).unwrap_err();
        assert!(error.starts_with("Invalid maintenance: Unrecognized value 'maybe', acceptable values are: '0',"));
    }

    #[test]
    fn an_argument_that_is_named_twice_is_a_list_or_refused() {
        let query = [("fields", "uuid"), ("limit", "1"), ("fields", "name,power_state"), ("limit", "2")];
        let query: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let args = Args::known(merged(&query), &["fields", "limit"]).unwrap();
        assert_eq!(args.words("fields").unwrap().as_deref(), Some("uuid,name,power_state"));
        assert_eq!(args.list("fields").unwrap(), ["uuid", "name", "power_state"]);
        assert_eq!(args.integer("limit").unwrap_err().text, "Expected an integer for limit: ['1', '2']");
        assert_eq!(args.text("limit").unwrap_err().text, "Expected string for limit: ['1', '2']");
        let error = args.boolean("limit").unwrap_err().text;
        assert!(error.starts_with("Invalid limit: Unrecognized value '['1', '2']', acceptable"), "{error}");
        assert_eq!(args.words("absent").unwrap(), None);
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = Args::known(vec![("foo".into(), json!(1))], &["target"]).unwrap_err();
        assert_eq!(error.text, "Unexpected arguments: foo");
    }
}
