//! What rules look at: the node, what the ramdisk found, the item of a loop; and how arguments are filled in with it.

use super::format::{FormatError, Print, Source, Step, fill, part};
use super::value::Text;
use super::{MAX_TEXT, RuleError};
use crate::model::node::Node;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of text that are left for this inspection.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_TEXT))
    }
}

/// The facts.
pub struct Context<'a> {
    /// The node as it is now.
    pub node: &'a Node,
    /// What the machine has.
    pub inventory: &'a Value,
    /// What else the ramdisk and the hooks found.
    pub plugin_data: &'a Value,
    /// Passwords and tokens inside of the data are hidden.
    pub mask: bool,
    /// The item, inside of a loop.
    pub item: Option<&'a Value>,
    /// Shared by all rules of an inspection.
    pub budget: &'a Budget,
}

impl Context<'_> {
    /// Fills in a value at any depth. `missing_is_none`: a text whose field is missing becomes null (for `is-empty`).
    ///
    /// # Errors
    /// The bound of texts only: what cannot be filled in stays as it is, as in the reference.
    pub fn fill(&self, value: &Value, missing_is_none: bool) -> Result<Value, RuleError> {
        self.fill_inside(value, missing_is_none, true)
    }

    /// `again`: fields inside of the loop's item are filled in too. In the reference they are not inside of lists.
    fn fill_inside(&self, value: &Value, missing_is_none: bool, again: bool) -> Result<Value, RuleError> {
        Ok(match value {
            Value::String(text) => self.fill_text(text, missing_is_none, again)?,
            Value::Array(items) => {
                let fill = |item: &Value| self.fill_inside(item, missing_is_none, !item.is_string());
                Value::Array(items.iter().map(fill).collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    let key = match self.fill_text(key, missing_is_none, false)? {
                        Value::String(key) => key,
                        _ => "None".into(),
                    };
                    filled.insert(key, self.fill_inside(value, missing_is_none, true)?);
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    fn fill_text(&self, template: &str, missing_is_none: bool, again: bool) -> Result<Value, RuleError> {
        if !template.contains(['{', '}']) {
            return Ok(Value::String(template.into()));
        }
        let left = self.budget.0.load(Ordering::Relaxed);
        let mut out = Text::new(left);
        match fill(template, &Fields { context: self, again, missing_is_none }, &mut out) {
            Ok(()) => {
                self.budget.0.store(left - out.text.len(), Ordering::Relaxed);
                Ok(Value::String(out.text))
            }
            Err(FormatError::Bound(error)) => Err(error),
            Err(FormatError::Missing(_)) if missing_is_none => Ok(Value::Null),
            Err(error) => {
                tracing::warn!(node = %self.node.uuid, "`{template}` in an inspection rule stays as it is: {error}");
                Ok(Value::String(template.into()))
            }
        }
    }
}

struct Fields<'a> {
    context: &'a Context<'a>,
    again: bool,
    missing_is_none: bool,
}

impl Source for Fields<'_> {
    fn print(&self, root: &str, path: &[Step<'_>], print: Print, out: &mut Text) -> Result<(), FormatError> {
        let context = self.context;
        let (value, mask) = match (root, context.item) {
            ("inventory", _) => (part(context.inventory, path, context.mask)?, context.mask),
            ("plugin_data", _) => (part(context.plugin_data, path, context.mask)?, context.mask),
            ("node", _) => (of_node(context.node, path)?, false),
            ("item", Some(item)) => {
                let item = part(item, path, false)?;
                return self.print_item(item.as_ref(), print, out);
            }
            _ => return Err(FormatError::Missing(root.into())),
        };
        match print {
            Print::Plain => out.plain(&value, mask)?,
            Print::Literal => out.literal(&value, mask)?,
        }
        Ok(())
    }
}

impl Fields<'_> {
    /// An item is the rule's own text and may have fields itself. Texts of the machine are never read for fields: in the
    /// reference they are, and a machine could have parts of the node's record written wherever the rule writes.
    fn print_item(&self, item: &Value, print: Print, out: &mut Text) -> Result<(), FormatError> {
        match (item, print) {
            (Value::String(text), Print::Plain) if self.again => {
                let before = out.text.len();
                let once = Fields { again: false, ..*self };
                match fill(text, &once, out) {
                    Err(FormatError::Malformed(_) | FormatError::Missing(_)) if !self.missing_is_none => {
                        out.text.truncate(before);
                        Ok(out.push(text)?)
                    }
                    Err(FormatError::Malformed(_)) => {
                        out.text.truncate(before);
                        Ok(out.push(text)?)
                    }
                    other => other,
                }
            }
            (value, Print::Plain) => Ok(out.plain(value, false)?),
            (value, Print::Literal) => Ok(out.literal(value, false)?),
        }
    }
}

/// `{node.name}` or `{node[name]}`: a field as the API names it; secrets are masked always.
fn of_node<'a>(node: &'a Node, path: &[Step<'_>]) -> Result<Cow<'a, Value>, FormatError> {
    let (Step::Attribute(name) | Step::Key(name), rest) = path.split_first().map_or_else(
        || Err(FormatError::Malformed("name a field of the node, for example {node.uuid}".into())),
        |(first, rest)| Ok((first.clone(), rest)),
    )?
    else {
        return Err(FormatError::Malformed("a node has no members by number".into()));
    };
    let value = node_value(node, name).ok_or_else(|| FormatError::Malformed(format!("a node has no '{name}'")))?;
    part(&value, rest, false).map(|value| Cow::Owned(value.into_owned()))
}

/// A field of the node by its name in the API.
pub fn node_value(node: &Node, name: &str) -> Option<Value> {
    let masked = match name {
        "driver_info" => Some(node.driver_info.masked()),
        "driver_internal_info" => Some(node.driver_internal_info.masked()),
        "properties" => Some(node.properties.masked()),
        "instance_info" => Some(node.instance_info.masked()),
        _ => None,
    };
    if let Some(map) = masked {
        return Some(Value::Object(map));
    }
    if let Some(kind) = name.strip_suffix("_interface").and_then(crate::model::node::InterfaceKind::from_name) {
        return Some(node.interfaces.get(&kind).map_or(Value::Null, |name| Value::String(name.clone())));
    }
    if matches!(name, "flow" | "interfaces") {
        return None;
    }
    // The record's own names are the API's.
    match serde_json::to_value(node) {
        Ok(Value::Object(mut map)) => map.remove(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn with<T>(item: Option<Value>, test: impl Fn(&Context<'_>) -> T) -> T {
        let mut node = Node::new(Uuid::nil(), "ipmi");
        node.name = Some("n1".into());
        node.driver_info.insert("ipmi_password".into(), json!("secret"));
        node.driver_info.insert("ipmi_address".into(), json!("192.0.2.1"));
        let inventory = json!({"cpu": {"count": 8}, "bmc_password": "x", "evil": "{node.name}"});
        let budget = Budget::default();
        let plugin_data = json!({});
        let context = Context {
            node: &node,
            inventory: &inventory,
            plugin_data: &plugin_data,
            mask: true,
            item: item.as_ref(),
            budget: &budget,
        };
        test(&context)
    }

    #[test]
    fn fields_come_from_node_inventory_and_item() {
        let item = json!({"path": "driver_info/x", "value": "{inventory[cpu][count]}"});
        with(Some(item), |context| {
            let fill = |value: Value| context.fill(&value, false).unwrap();
            assert_eq!(fill(json!("{node.name} {node[driver]} {inventory[cpu][count]}")), "n1 ipmi 8");
            assert_eq!(fill(json!("{node.driver_info[ipmi_address]}")), "192.0.2.1");
            assert_eq!(fill(json!({"{item[path]}": "{item[value]}"})), json!({"driver_info/x": "8"}));
            assert_eq!(fill(json!(["{item[value]}", 3])), json!(["{inventory[cpu][count]}", 3]));
            assert_eq!(fill(json!("{inventory[evil]}")), "{node.name}", "a machine's text is never read for fields");
        });
    }

    #[test]
    fn secrets_stay_hidden_and_what_is_missing_stays_as_it_is() {
        with(None, |context| {
            let fill = |value: Value| context.fill(&value, false).unwrap();
            assert_eq!(fill(json!("{node.driver_info[ipmi_password]}")), "******");
            assert_eq!(fill(json!("{inventory[bmc_password]}")), "***");
            assert!(!fill(json!("{inventory} {node.driver_info}")).as_str().unwrap().contains("secret"));
            for text in ["{item}", "{node}", "{node.flow}", "{nobody}", "{inventory[x]}", "{"] {
                assert_eq!(fill(json!(text)), text);
            }
            assert_eq!(context.fill(&json!("{inventory[x]}"), true).unwrap(), Value::Null);
            assert_eq!(context.fill(&json!("{inventory.x}"), true).unwrap(), "{inventory.x}");
        });
    }

    #[test]
    fn texts_of_one_inspection_are_bounded_together() {
        let item = json!("x".repeat(1024 * 1024));
        with(Some(item), |context| {
            let fill = || context.fill(&json!("{item}"), false);
            for _ in 0..MAX_TEXT / (1024 * 1024) {
                fill().unwrap();
            }
            assert!(matches!(fill(), Err(RuleError::Bound(_))));
        });
    }
}
