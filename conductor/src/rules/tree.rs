//! Changes inside of JSON objects by a path, as actions make them.

use super::value::type_name;
use serde_json::{Map, Value};

/// `driver_info/ipmi_address`, `/driver_info/ipmi_address` or `driver_info.ipmi_address`: its parts.
pub fn parts(path: &str) -> Vec<&str> {
    if path.contains('/') { path.trim_matches('/').split('/').collect() } else { path.split('.').collect() }
}

/// The object before the last part; objects on the way are made.
fn parent<'v>(root: &'v mut Value, path: &[&str]) -> Result<&'v mut Map<String, Value>, String> {
    let mut here = root;
    for part in path {
        let kind = type_name(here);
        here = match here {
            Value::Object(map) => map.entry(*part).or_insert_with(|| Value::Object(Map::new())),
            _ => return Err(format!("a {kind} has no member '{part}'")),
        };
    }
    let kind = type_name(here);
    here.as_object_mut().ok_or_else(|| format!("a {kind} has no members; it is not an object"))
}

/// Sets what `path` leads to; an empty path is the whole.
///
/// # Errors
/// Something on the way is no object.
pub fn set(root: &mut Value, path: &[&str], value: Value) -> Result<(), String> {
    match path.split_last() {
        None => *root = value,
        Some((last, before)) => {
            parent(root, before)?.insert((*last).into(), value);
        }
    }
    Ok(())
}

/// Appends to the list that `path` leads to; a missing one is made. `unique`: unless it is there.
///
/// # Errors
/// Something on the way is no object, or the end is no list.
pub fn extend(root: &mut Value, path: &[&str], value: Value, unique: bool) -> Result<(), String> {
    let list = match path.split_last() {
        None => root,
        Some((last, before)) => parent(root, before)?.entry(*last).or_insert_with(|| Value::Array(Vec::new())),
    };
    let kind = type_name(list);
    let Value::Array(items) = list else {
        return Err(format!("Cannot extend non-list attribute {}: it is a {kind}", path.join("/")));
    };
    if !unique || !items.iter().any(|item| super::value::equal(item, &value)) {
        items.push(value);
    }
    Ok(())
}

/// Removes what `path` leads to.
///
/// # Errors
/// There is nothing.
pub fn remove(root: &mut Value, path: &[&str]) -> Result<(), String> {
    let missing = |part: &str| format!("there is no '{part}'");
    let Some((last, before)) = path.split_last() else { return Err("an empty path".into()) };
    let mut here = root;
    for part in before {
        here = here.get_mut(*part).ok_or_else(|| missing(part))?;
    }
    let map = here.as_object_mut().ok_or_else(|| missing(last))?;
    map.shift_remove(*last).map(drop).ok_or_else(|| missing(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_have_three_forms() {
        for path in ["a/b", "/a/b", "a.b"] {
            assert_eq!(parts(path), ["a", "b"]);
        }
        assert_eq!(parts("a.b/c"), ["a.b", "c"]);
    }

    #[test]
    fn values_are_set_extended_and_removed_at_any_depth() {
        let mut tree = json!({"text": "x"});
        set(&mut tree, &["a", "b"], json!(1)).unwrap();
        extend(&mut tree, &["a", "list"], json!(1), true).unwrap();
        extend(&mut tree, &["a", "list"], json!(1.0), true).unwrap();
        extend(&mut tree, &["a", "list"], json!(1), false).unwrap();
        assert_eq!(tree, json!({"text": "x", "a": {"b": 1, "list": [1, 1]}}));
        remove(&mut tree, &["a", "b"]).unwrap();
        assert!(remove(&mut tree, &["a", "b"]).is_err() && remove(&mut tree, &["z", "b"]).is_err());
        assert!(
            set(&mut tree, &["text", "b"], json!(1)).is_err() && set(&mut tree, &["a", "list", "0"], json!(1)).is_err()
        );
        assert!(extend(&mut tree, &["text"], json!(1), false).unwrap_err().contains("non-list"));
    }
}
