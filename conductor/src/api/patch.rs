//! JSON patch as the contract has it: add, replace, remove, all or nothing (rest-api section 5).

use super::args::cut;
use super::error::ApiError;
use super::python;
use super::version::Version;
use serde_json::{Map, Value, json};

/// What one operation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Creates or overwrites.
    Add(Value),
    /// Overwrites what is there.
    Replace(Value),
    /// Takes away what is there; at the root: back to the default.
    Remove,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Path, decoded; never empty.
    pub path: Vec<String>,
    /// What to do there.
    pub op: Op,
}

impl Change {
    /// The field it is about.
    pub fn root(&self) -> &str {
        &self.path[0]
    }

    /// Its value when the whole field is set; `None` for parts of a field and for removals.
    pub fn whole(&self) -> Option<&Value> {
        match &self.op {
            Op::Add(value) | Op::Replace(value) if self.path.len() == 1 => Some(value),
            _ => None,
        }
    }
}

/// Reads the body of a PATCH.
///
/// # Errors
/// 400 `Schema error for patch: ...`.
pub fn parse(body: Option<Value>, version: Version) -> Result<Vec<Change>, ApiError> {
    let schema = |text: String| ApiError::invalid(format!("Schema error for patch: {text}"));
    let items = match body {
        Some(Value::Array(items)) => items,
        // The value may hold secrets: only its kind is said.
        _ => return Err(schema("the body is not of type 'array'".into())),
    };
    items
        .into_iter()
        .map(|item| {
            let Value::Object(mut item) = item else {
                return Err(schema(format!("{} is not of type 'object'", python::repr(&item))));
            };
            let mut take = |key: &str| item.remove(key);
            let path = match take("path") {
                Some(Value::String(path)) => split(&path, version)
                    .ok_or_else(|| schema(format!("'{}' does not match '^(/[\\\\w-]+)+$'", cut(&path))))?,
                Some(other) => return Err(schema(format!("{} is not of type 'string'", python::repr(&other)))),
                None => return Err(schema("'path' is a required property".into())),
            };
            let (op, value) = (take("op"), take("value"));
            let value = || value.ok_or_else(|| schema("'value' is a required property".into()));
            let op = match op.as_ref().map(|op| op.as_str().unwrap_or_default()) {
                Some("add") => Op::Add(value()?),
                Some("replace") => Op::Replace(value()?),
                Some("remove") => Op::Remove,
                Some(other) => {
                    return Err(schema(format!("'{}' is not one of ['add', 'replace', 'remove']", cut(other))));
                }
                None => return Err(schema("'op' is a required property".into())),
            };
            Ok(Change { path, op })
        })
        .collect()
}

/// Below 1.98 only word characters and hyphens; from then on every character, with the two escapes of JSON pointers
/// (the reference promises it and refuses: its defect 1).
fn split(path: &str, version: Version) -> Option<Vec<String>> {
    let parts = path.strip_prefix('/')?.split('/');
    parts
        .map(|part| {
            let plain = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
            if plain {
                return Some(part.to_owned());
            }
            (version.has(98) && !part.is_empty()).then(|| unescape(part))?
        })
        .collect()
}

fn unescape(part: &str) -> Option<String> {
    let mut text = String::with_capacity(part.len());
    let mut rest = part.chars();
    while let Some(char) = rest.next() {
        match char {
            '~' => text.push(match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            }),
            other => text.push(other),
        }
    }
    Some(text)
}

/// Applies one operation. Removing a whole field sets it to null: the field's own setter knows the default.
///
/// # Errors
/// 400 text: `Couldn't apply patch '...'. Reason: ...`. The value is not repeated; it may be a secret.
pub fn apply(document: &mut Map<String, Value>, change: &Change) -> Result<(), String> {
    let failed = |reason: String| {
        let op = match change.op {
            Op::Add(_) => "add",
            Op::Replace(_) => "replace",
            Op::Remove => "remove",
        };
        let shown = json!({"op": op, "path": format!("/{}", change.path.join("/"))});
        format!("Couldn't apply patch '{}'. Reason: {reason}", python::repr(&shown))
    };
    if change.path.len() == 1 {
        let value = match &change.op {
            Op::Add(value) | Op::Replace(value) => value.clone(),
            Op::Remove => Value::Null,
        };
        document.insert(change.root().into(), value);
        return Ok(());
    }
    let last = change.path.len() - 1;
    let mut place = document.get_mut(change.root()).ok_or_else(|| failed(missing("find", change.root())))?;
    for key in &change.path[1..last] {
        let next = match place {
            Value::Object(map) => map.get_mut(key),
            Value::Array(items) => index(key, items.len()).and_then(|at| items.get_mut(at)),
            _ => None,
        };
        place = next.ok_or_else(|| failed(missing("find", key)))?;
    }
    let key = &change.path[last];
    match place {
        Value::Object(map) => in_object(map, key, &change.op).map_err(failed),
        Value::Array(items) => in_array(items, key, &change.op).map_err(failed),
        // A field that holds nothing yet can take its first key.
        Value::Null if matches!(change.op, Op::Add(_)) && last == 1 => {
            let mut map = Map::new();
            in_object(&mut map, key, &change.op).map_err(failed)?;
            *place = Value::Object(map);
            Ok(())
        }
        _ => Err(failed(format!("the value before '{key}' has no members"))),
    }
}

fn missing(verb: &str, key: &str) -> String {
    format!("can't {verb} a non-existent object '{key}'")
}

fn in_object(map: &mut Map<String, Value>, key: &str, op: &Op) -> Result<(), String> {
    match op {
        Op::Add(value) => {
            map.insert(key.into(), value.clone());
        }
        Op::Replace(value) => match map.get_mut(key) {
            Some(old) => *old = value.clone(),
            None => return Err(missing("replace", key)),
        },
        // shift_remove keeps the order of the others: people read these objects.
        Op::Remove => {
            map.shift_remove(key).ok_or_else(|| missing("remove", key))?;
        }
    }
    Ok(())
}

fn in_array(items: &mut Vec<Value>, key: &str, op: &Op) -> Result<(), String> {
    match op {
        Op::Add(value) if key == "-" => items.push(value.clone()),
        Op::Add(value) => match index(key, items.len() + 1) {
            Some(at) => items.insert(at, value.clone()),
            None => return Err("can't insert outside of list".into()),
        },
        Op::Replace(value) => match index(key, items.len()) {
            Some(at) => items[at] = value.clone(),
            None => return Err("can't replace outside of list".into()),
        },
        Op::Remove => match index(key, items.len()) {
            Some(at) => {
                items.remove(at);
            }
            None => return Err(missing("remove", key)),
        },
    }
    Ok(())
}

fn index(key: &str, end: usize) -> Option<usize> {
    key.parse().ok().filter(|at| *at < end)
}

/// What people see masked and write back stays what it was: `old` is kept, `shown` is how people see it, `new` came back.
pub fn unmasked(old: &Value, shown: &Value, new: Value) -> Value {
    match (old, shown, new) {
        (_, _, new) if old == shown => new,
        (_, _, new) if new == *shown => old.clone(),
        (Value::Object(old), Value::Object(shown), Value::Object(new)) => {
            let restored = new.into_iter().map(|(key, value)| match (old.get(&key), shown.get(&key)) {
                (Some(old), Some(shown)) => (key, unmasked(old, shown, value)),
                _ => (key, value),
            });
            Value::Object(restored.collect())
        }
        (Value::Array(old), Value::Array(shown), Value::Array(new)) => {
            let restored = new.into_iter().enumerate().map(|(at, value)| match (old.get(at), shown.get(at)) {
                (Some(old), Some(shown)) => unmasked(old, shown, value),
                _ => value,
            });
            Value::Array(restored.collect())
        }
        (_, _, new) => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Version = Version(115);

    fn run(document: Value, patch: Value) -> Result<Value, String> {
        let mut document = document.as_object().unwrap().clone();
        for change in parse(Some(patch), NEW).map_err(|error| error.text)? {
            apply(&mut document, &change)?;
        }
        Ok(Value::Object(document))
    }

    #[test]
    fn the_three_operations_work_at_any_depth() {
        let document = json!({"name": "a", "extra": {"x": {"y": 1}, "list": [1, 2]}, "none": null});
        let patch = json!([
            {"op": "remove", "path": "/name"},
            {"op": "add", "path": "/extra/new", "value": {"k": null}},
            {"op": "replace", "path": "/extra/x/y", "value": 2},
            {"op": "add", "path": "/extra/list/-", "value": 3},
            {"op": "remove", "path": "/extra/list/0"},
            {"op": "add", "path": "/none/first", "value": true},
        ]);
        let after = json!({"name": null, "extra": {"x": {"y": 2}, "list": [2, 3], "new": {"k": null}}, "none": {"first": true}});
        assert_eq!(run(document, patch).unwrap(), after);
    }

    #[test]
    fn what_is_not_there_cannot_be_removed_or_replaced_and_values_stay_out_of_the_text() {
        let error = run(json!({"extra": {}}), json!([{"op": "remove", "path": "/extra/nope"}])).unwrap_err();
        assert!(error.ends_with("Reason: can't remove a non-existent object 'nope'"), "{error}");
        let patch = json!([{"op": "replace", "path": "/extra/nope", "value": "hidden"}]);
        assert!(!run(json!({"extra": {}}), patch).unwrap_err().contains("hidden"));
        assert!(run(json!({"extra": {}}), json!([{"op": "add", "path": "/extra/a/b", "value": 1}])).is_err());
    }

    #[test]
    fn the_schema_is_checked_first() {
        for (patch, words) in [
            (json!({}), "array"),
            (json!([1]), "'object'"),
            (json!([{"op": "test", "path": "/a", "value": 1}]), "'test' is not one of"),
            (json!([{"op": "move", "path": "/a"}]), "'move'"),
            (json!([{"op": "add", "path": "/a"}]), "'value' is a required"),
            (json!([{"path": "/a"}]), "'op' is a required"),
            (json!([{"op": "remove"}]), "'path' is a required"),
            (json!([{"op": "remove", "path": "a"}]), "does not match"),
            (json!([{"op": "remove", "path": "/"}]), "does not match"),
            (json!([{"op": "remove", "path": "/a//b"}]), "does not match"),
            (json!([{"op": "remove", "path": "/a/~2"}]), "does not match"),
        ] {
            let error = parse(Some(patch.clone()), NEW).unwrap_err().text;
            assert!(error.starts_with("Schema error for patch: ") && error.contains(words), "{patch}: {error}");
        }
        assert_eq!(parse(Some(json!([])), NEW).unwrap(), []);
    }

    #[test]
    fn special_characters_are_for_1_98_and_newer() {
        let patch = || Some(json!([{"op": "remove", "path": "/extra/a.b ~0~1c"}]));
        assert!(parse(patch(), Version(97)).is_err());
        assert_eq!(parse(patch(), Version(98)).unwrap()[0].path, ["extra", "a.b ~/c"]);
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_split_or_refused(path in "[/~01a.-]{0,20}") {
            let patch = json!([{"op": "add", "path": path, "value": 1}]);
            if let Ok(changes) = parse(Some(patch), NEW) {
                let mut document = json!({"a": {"a": [1]}}).as_object().unwrap().clone();
                let _ = apply(&mut document, &changes[0]);
            }
        }
    }
}
