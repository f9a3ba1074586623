//! A rule as it is stored.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The only phase there is.
pub const MAIN: &str = "main";

/// A condition or an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Which; a condition's may begin with `!`.
    pub op: String,
    /// By name or by place.
    pub args: Value,
    /// Items to do it for.
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub items: Option<Value>,
    /// How the answers of a condition's turns become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple: Option<String>,
}

impl Operation {
    /// The items of its loop; `None`: it has none and runs once. An object is one item.
    pub fn turns(&self) -> Option<Vec<&Value>> {
        match &self.items {
            Some(Value::Array(items)) if !items.is_empty() => Some(items.iter().collect()),
            Some(item @ Value::Object(map)) if !map.is_empty() => Some(vec![item]),
            _ => None,
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its identity; rules of a file may have any text.
    pub uuid: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Higher ones come first.
    #[serde(default)]
    pub priority: i64,
    /// Nobody reads its conditions and actions; it may see secrets.
    #[serde(default)]
    pub sensitive: bool,
    /// When it runs.
    #[serde(default = "main_phase")]
    pub phase: String,
    /// All must hold.
    #[serde(default)]
    pub conditions: Vec<Operation>,
    /// Done in this order.
    pub actions: Vec<Operation>,
}

fn main_phase() -> String {
    MAIN.into()
}

/// Sorts rules into the order they run in: priority, then the order in which they were given (stored ones first).
pub fn sort(rules: &mut [Rule]) {
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
}
