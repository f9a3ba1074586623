//! What differs between two answers: short names of the parts, with both values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::exchange::Answer;

/// Parts of a document are named down to this depth.
const DEPTH: usize = 3;

/// Name of the part, and it at the reference and here.
pub type Differences = BTreeMap<String, (String, String)>;

/// Of two answers. Where the statuses differ the bodies cannot be alike and do not count.
pub fn differences(theirs: &Answer, ours: &Answer) -> Differences {
    let mut found = Differences::new();
    if theirs.status != ours.status {
        let key = format!("status {}|{}", theirs.status, ours.status);
        let shown = |answer: &Answer| brief(&answer.body.to_string());
        found.insert(key, (shown(theirs), shown(ours)));
        return found;
    }
    let names: BTreeSet<&String> = theirs.headers.keys().chain(ours.headers.keys()).collect();
    for name in names {
        let (left, right) = (theirs.headers.get(name), ours.headers.get(name));
        if left != right {
            let shown = |value: Option<&String>| value.cloned().unwrap_or("(none)".into());
            found.insert(format!("header {name}"), (shown(left), shown(right)));
        }
    }
    match (fault(&theirs.body), fault(&ours.body)) {
        (Some(left), Some(right)) => faults(left, right, &mut found),
        _ => bodies(&theirs.body, &ours.body, "", 0, &mut found),
    }
    found
}

/// The text of an error, and which of the two shapes it has.
fn fault(body: &Value) -> Option<(&str, &str)> {
    let inner = body.get("error_message").unwrap_or(body);
    match (inner["faultstring"].as_str(), inner["description"].as_str(), inner["title"].as_str()) {
        (Some(text), _, _) => Some((text, "fault")),
        (None, Some(text), Some(title)) => Some((text, title)),
        _ => None,
    }
}

fn faults(left: (&str, &str), right: (&str, &str), found: &mut Differences) {
    let parts =
        |text: &str| text.split_once('\n').map_or((text.to_owned(), String::new()), |(a, b)| (a.into(), b.into()));
    let ((first, tail), (our_first, our_tail)) = (parts(left.0), parts(right.0));
    for (key, left, right) in
        [("shape", left.1.to_owned(), right.1.to_owned()), ("text", first, our_first), ("tail", tail, our_tail)]
    {
        if left != right {
            found.insert(key.into(), (brief(&left), brief(&right)));
        }
    }
}

fn bodies(left: &Value, right: &Value, at: &str, depth: usize, found: &mut Differences) {
    if left == right {
        return;
    }
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}/{key}") };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if depth < DEPTH => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(left), Some(right)) => bodies(left, right, &below(key), depth + 1, found),
                    (left, right) => {
                        let shown =
                            |value: Option<&Value>| value.map_or("(none)".into(), |value| brief(&value.to_string()));
                        found.insert(below(key), (shown(left), shown(right)));
                    }
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if depth < DEPTH && a.len() == b.len() => {
            for (left, right) in a.iter().zip(b) {
                bodies(left, right, &below("*"), depth + 1, found);
            }
        }
        _ => {
            let key = if at.is_empty() { "body" } else { at };
            found.insert(key.into(), (brief(&left.to_string()), brief(&right.to_string())));
        }
    }
}

fn brief(text: &str) -> String {
    let short: String = text.chars().take(700).collect();
    if short.len() < text.len() { short + "…" } else { short }
}
