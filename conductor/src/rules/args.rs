//! Arguments of operators and actions: which there are, by name or by place, and what is wrong with those given.

use super::RuleError;
use serde_json::{Map, Value};

/// What an operator or an action takes.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Must be given; the order of the form by place.
    pub required: &'static [&'static str],
    /// May be given; by place they follow the required ones.
    pub optional: &'static [&'static str],
    /// Fields in these are filled in outside of loops too.
    pub formatted: &'static [&'static str],
}

/// The reference adds this argument to stored rules; rules copied from it have it.
const PLUGIN_DATA: &str = "plugin_data";

impl Signature {
    /// Arguments by name.
    ///
    /// # Errors
    /// Some are missing, some are unknown, or they are neither a list nor an object.
    pub fn by_name(&self, args: &Value) -> Result<Map<String, Value>, RuleError> {
        match args {
            Value::Array(list) => self.by_place(list),
            Value::Object(map) => {
                let mut map = map.clone();
                map.shift_remove(PLUGIN_DATA);
                self.check(&map)?;
                Ok(map)
            }
            _ => Err(RuleError::Arguments("args must be either a list or dictionary".into())),
        }
    }

    fn by_place(&self, list: &[Value]) -> Result<Map<String, Value>, RuleError> {
        if list.len() < self.required.len() {
            let missing = self.required[list.len()..].join(", ");
            return Err(RuleError::Arguments(format!("Not enough arguments provided. Missing: {missing}")));
        }
        let names = self.required.iter().chain(self.optional);
        let named = names.zip(list).map(|(name, value)| ((*name).to_owned(), value.clone()));
        // The stored form of the reference ends with an empty `plugin_data`; that is no flag.
        Ok(named.filter(|(name, value)| !(self.optional.contains(&name.as_str()) && value == &empty())).collect())
    }

    fn check(&self, given: &Map<String, Value>) -> Result<(), RuleError> {
        let missing: Vec<&str> = self.required.iter().copied().filter(|name| !given.contains_key(*name)).collect();
        let known = |name: &str| self.required.contains(&name) || self.optional.contains(&name);
        let unexpected: Vec<&str> = given.keys().map(String::as_str).filter(|name| !known(name)).collect();
        let mut texts = Vec::new();
        if !missing.is_empty() {
            texts.push(format!("missing required argument(s): {}", missing.join(", ")));
        }
        if !unexpected.is_empty() {
            texts.push(format!("unexpected argument(s): {}", unexpected.join(", ")));
        }
        if texts.is_empty() { Ok(()) } else { Err(RuleError::Arguments(texts.join("; "))) }
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EXTEND: Signature = Signature { required: &["path", "value"], optional: &["unique"], formatted: &["value"] };

    #[test]
    fn arguments_are_taken_by_name_and_by_place() {
        for args in [json!({"path": "a", "value": 1, "unique": true}), json!(["a", 1, true]), json!(["a", 1, true, 4])]
        {
            assert_eq!(Value::Object(EXTEND.by_name(&args).unwrap()), json!({"path": "a", "value": 1, "unique": true}));
        }
    }

    #[test]
    fn what_the_reference_adds_to_stored_rules_is_left_out() {
        for args in [json!({"path": "a", "value": 1, "plugin_data": {}}), json!(["a", 1, {}])] {
            assert_eq!(Value::Object(EXTEND.by_name(&args).unwrap()), json!({"path": "a", "value": 1}));
        }
    }

    #[test]
    fn refusals_name_the_arguments() {
        let text = |args: Value| EXTEND.by_name(&args).unwrap_err().to_string();
        assert_eq!(text(json!({"path": 1, "x": 2})), "missing required argument(s): value; unexpected argument(s): x");
        assert_eq!(text(json!(["a"])), "Not enough arguments provided. Missing: value");
        assert_eq!(text(json!(3)), "args must be either a list or dictionary");
    }
}
