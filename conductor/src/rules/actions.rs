//! The actions of rules: what each takes and what it changes.

use super::args::Signature;
use super::effect::{Call, Effect, Level};
use super::value::{text, truthy};
use super::{RuleError, node_field, port_field, tree};
use crate::model::capabilities::capabilities;
use crate::model::named::named;
use crate::model::node::Node;
use crate::model::port::Port;
use serde_json::{Map, Value};

/// Most traits of a node (rest-api section 8.2).
const TRAITS_MAX: usize = 50;

named! {
    /// An action.
    Action {
        /// Ends the inspection.
        Fail = "fail",
        /// Writes a log line.
        Log = "log",
        /// Sets a field of the node.
        SetAttribute = "set-attribute",
        /// Appends to a list inside of a field of the node.
        ExtendAttribute = "extend-attribute",
        /// Clears a field of the node or removes what is inside of one.
        DelAttribute = "del-attribute",
        /// Sets a capability in `properties`.
        SetCapability = "set-capability",
        /// Removes it.
        UnsetCapability = "unset-capability",
        /// Adds a trait.
        AddTrait = "add-trait",
        /// Removes it.
        RemoveTrait = "remove-trait",
        /// Sets a value in the data that are kept of the inspection.
        SetPluginData = "set-plugin-data",
        /// Appends to a list in them.
        ExtendPluginData = "extend-plugin-data",
        /// Removes a value from them.
        UnsetPluginData = "unset-plugin-data",
        /// Sets a field of a port.
        SetPortAttribute = "set-port-attribute",
        /// Appends to a list inside of a field of a port.
        ExtendPortAttribute = "extend-port-attribute",
        /// Clears a field of a port or removes what is inside of one.
        DelPortAttribute = "del-port-attribute",
        /// Asks a URL.
        ApiCall = "api-call",
    }
}

const fn takes(
    required: &'static [&'static str],
    optional: &'static [&'static str],
    formatted: &'static [&'static str],
) -> Signature {
    Signature { required, optional, formatted }
}

/// What actions may change.
pub struct Subject<'a> {
    /// The held node.
    pub node: &'a mut Node,
    /// Its ports.
    pub ports: &'a mut [Port],
    /// What is kept of the inspection beside the inventory.
    pub plugin_data: &'a mut Value,
}

impl Action {
    /// What it takes.
    pub fn signature(self) -> Signature {
        match self {
            Action::Fail => takes(&["msg"], &[], &[]),
            Action::Log => takes(&["msg"], &["level"], &["msg"]),
            Action::SetAttribute | Action::SetPluginData => takes(&["path", "value"], &[], &["value"]),
            Action::ExtendAttribute | Action::ExtendPluginData => takes(&["path", "value"], &["unique"], &["value"]),
            Action::DelAttribute | Action::UnsetPluginData => takes(&["path"], &[], &[]),
            Action::SetCapability => takes(&["name", "value"], &[], &["value"]),
            Action::UnsetCapability | Action::AddTrait | Action::RemoveTrait => takes(&["name"], &[], &[]),
            Action::SetPortAttribute => takes(&["port_id", "path", "value"], &[], &["value"]),
            Action::ExtendPortAttribute => takes(&["port_id", "path", "value"], &["unique"], &["value"]),
            Action::DelPortAttribute => takes(&["port_id", "path"], &[], &[]),
            Action::ApiCall => {
                takes(&["url"], &["headers", "proxies", "timeout", "retries", "backoff_factor"], &["url"])
            }
        }
    }

    /// Does it, and says what is left to do outside.
    ///
    /// # Errors
    /// [`RuleError::Told`] for `fail`, [`RuleError::Action`] when it cannot be done.
    pub fn perform(self, args: &Map<String, Value>, subject: &mut Subject<'_>) -> Result<Effect, RuleError> {
        let arg = |name: &str| args.get(name).cloned().unwrap_or(Value::Null);
        let unique = args.get("unique").is_some_and(truthy);
        let changed = match self {
            Action::Fail => return Err(RuleError::Told(text(&arg("msg"))?)),
            Action::Log => return Ok(Effect::Log(Level::parse(args.get("level"))?, text(&arg("msg"))?)),
            Action::ApiCall => return Ok(Effect::Call(Box::new(Call::parse(args)?))),
            Action::SetAttribute => change(&arg("path"), &Edit::Set(arg("value")), subject.node, NODE)
                .map_err(|why| format!("Failed to set attribute {}: {why}", shown(&arg("path")))),
            Action::ExtendAttribute => change(&arg("path"), &Edit::Extend(arg("value"), unique), subject.node, NODE)
                .map_err(|why| format!("Failed to extend attribute {}: {why}", shown(&arg("path")))),
            Action::DelAttribute => change(&arg("path"), &Edit::Remove, subject.node, NODE)
                .map_err(|why| format!("Failed to delete attribute at {}: {why}", shown(&arg("path")))),
            Action::SetCapability => set_capability(subject.node, &shown(&arg("name")), &shown(&arg("value"))),
            Action::UnsetCapability => unset_capability(subject.node, &shown(&arg("name"))),
            Action::AddTrait => add_trait(subject.node, &shown(&arg("name"))),
            Action::RemoveTrait => {
                let name = shown(&arg("name"));
                subject.node.traits.retain(|owned| *owned != name);
                Ok(())
            }
            Action::SetPluginData => with_path(&arg("path"), |path| tree::set(subject.plugin_data, path, arg("value")))
                .map_err(|why| format!("Failed to set plugin data at {}: {why}", shown(&arg("path")))),
            Action::ExtendPluginData => {
                with_path(&arg("path"), |path| tree::extend(subject.plugin_data, path, arg("value"), unique))
                    .map_err(|why| format!("Failed to extend plugin data at {}: {why}", shown(&arg("path"))))
            }
            Action::UnsetPluginData => unset_plugin_data(subject, &arg("path"))
                .map_err(|why| format!("Failed to unset plugin data at {}: {why}", shown(&arg("path")))),
            Action::SetPortAttribute => of_port(subject, args, &Edit::Set(arg("value")), "set"),
            Action::ExtendPortAttribute => of_port(subject, args, &Edit::Extend(arg("value"), unique), "extend"),
            Action::DelPortAttribute => of_port(subject, args, &Edit::Remove, "delete"),
        };
        changed.map(|()| Effect::Nothing).map_err(RuleError::Action)
    }
}

fn shown(value: &Value) -> String {
    text(value).unwrap_or_else(|error| error.to_string())
}

/// A change at a path.
enum Edit {
    Set(Value),
    Extend(Value, bool),
    Remove,
}

/// How the fields of a record are reached.
struct Fields<T> {
    take: fn(&mut T, &str) -> Result<Value, String>,
    put: fn(&mut T, &str, Value) -> Result<(), String>,
    clear: fn(&mut T, &str) -> Result<(), String>,
}

const NODE: Fields<Node> = Fields { take: node_field::take, put: node_field::put, clear: node_field::clear };
const PORT: Fields<Port> = Fields { take: port_field::take, put: port_field::put, clear: port_field::clear };

fn change<T>(path: &Value, edit: &Edit, record: &mut T, fields: Fields<T>) -> Result<(), String> {
    let Value::String(path) = path else { return Err("the path must be a text".into()) };
    let parts = tree::parts(path);
    let Some((field, inside)) = parts.split_first() else { return Err("the path is empty".into()) };
    match edit {
        Edit::Set(value) if inside.is_empty() => return (fields.put)(record, field, value.clone()),
        Edit::Remove if inside.is_empty() => return (fields.clear)(record, field),
        _ => {}
    }
    let mut whole = (fields.take)(record, field)?;
    match edit {
        Edit::Set(value) => tree::set(&mut whole, inside, value.clone())?,
        Edit::Extend(value, unique) => tree::extend(&mut whole, inside, value.clone(), *unique)?,
        Edit::Remove => tree::remove(&mut whole, inside)?,
    }
    (fields.put)(record, field, whole)
}

fn of_port(subject: &mut Subject<'_>, args: &Map<String, Value>, edit: &Edit, verb: &str) -> Result<(), String> {
    let arg = |name: &str| args.get(name).cloned().unwrap_or(Value::Null);
    let id = shown(&arg("port_id"));
    let Some(port) = subject.ports.iter_mut().find(|port| port.uuid.to_string() == id.to_lowercase()) else {
        return Err(format!("Port {id} could not be found."));
    };
    let path = shown(&arg("path"));
    change(&arg("path"), edit, port, PORT)
        .map_err(|why| format!("Failed to {verb} attribute {path} for port {id}: {why}"))
}

/// A path into the plugin data: a text with dots, or a list of texts.
fn with_path<T>(path: &Value, run: impl FnOnce(&[&str]) -> Result<T, String>) -> Result<T, String> {
    match path {
        Value::String(path) => run(&path.split('.').collect::<Vec<_>>()),
        Value::Array(parts) if !parts.is_empty() && parts.iter().all(Value::is_string) => {
            run(&parts.iter().filter_map(Value::as_str).collect::<Vec<_>>())
        }
        _ => Err("the path must be a text or a list of texts".into()),
    }
}

/// Removes a value; an object that held nothing else goes with it, as in the reference.
fn unset_plugin_data(subject: &mut Subject<'_>, path: &Value) -> Result<(), String> {
    with_path(path, |path| {
        if tree::remove(subject.plugin_data, path).is_err() {
            tracing::warn!(node = %subject.node.uuid, "Path {} not found", path.join("."));
            return Ok(());
        }
        let before = &path[..path.len() - 1];
        let parent = before.iter().try_fold(&*subject.plugin_data, |here, part| here.get(*part));
        if !before.is_empty() && parent.and_then(Value::as_object).is_some_and(Map::is_empty) {
            tree::remove(subject.plugin_data, before)?;
        }
        Ok(())
    })
}

/// Sets one of the node's capabilities, in whichever form they are written.
///
/// # Errors
/// A name or value that the text form cannot hold.
pub fn set_capability(node: &mut Node, name: &str, value: &str) -> Result<(), String> {
    let fits = |text: &str| !text.is_empty() && !text.contains([',', ':']);
    if !fits(name) || value.contains(',') {
        return Err(format!("Failed to set capability {name}: commas and colons separate capabilities"));
    }
    match node.properties.get_mut("capabilities") {
        Some(Value::Object(map)) => {
            map.insert(name.into(), value.into());
        }
        other => {
            let old = other.as_deref().and_then(Value::as_str).unwrap_or_default();
            let new = format!("{name}:{value}");
            let kept = without(old, name);
            let text = if kept.is_empty() { new } else { format!("{kept},{new}") };
            node.properties.insert("capabilities".into(), text.into());
        }
    }
    Ok(())
}

fn unset_capability(node: &mut Node, name: &str) -> Result<(), String> {
    if !capabilities(node.properties.get("capabilities")).contains_key(name) {
        return Ok(());
    }
    match node.properties.get_mut("capabilities") {
        Some(Value::Object(map)) => {
            map.shift_remove(name);
        }
        Some(Value::String(text)) => *text = without(text, name),
        _ => {}
    }
    Ok(())
}

/// `a:1,b:2` without one name.
fn without(text: &str, name: &str) -> String {
    let other = |pair: &&str| !pair.is_empty() && pair.split_once(':').map_or(*pair, |(key, _)| key.trim()) != name;
    text.split(',').filter(other).collect::<Vec<_>>().join(",")
}

fn add_trait(node: &mut Node, name: &str) -> Result<(), String> {
    let fits = name.len() <= 255
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !fits {
        return Err(format!(
            "Failed to add new trait {}: a trait is a standard one or CUSTOM_ and capitals, digits, underscores",
            name.escape_debug()
        ));
    }
    if node.traits.iter().any(|owned| owned == name) {
        return Ok(());
    }
    if node.traits.len() >= TRAITS_MAX {
        return Err(format!("Failed to add new trait {name}: a node has at most {TRAITS_MAX} traits"));
    }
    node.traits.push(name.into());
    node.traits.sort();
    Ok(())
}

#[cfg(test)]
mod tests;
