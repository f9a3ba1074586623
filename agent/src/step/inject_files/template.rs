//! URLs with places for what is known of the node: `http://host/{node[uuid]}/{ports[0][address]}`.

use serde_json::{Map, Value};

/// Longest URL made.
const MAX_URL: usize = 4096;

/// Puts in what `{node[..]}` and `{ports[..]}` name; `{{` and `}}` are braces.
///
/// # Errors
/// What is named and is not there, in words.
pub fn fill(text: &str, node: &Map<String, Value>, ports: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..at + 1];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let (field, after) = rest
            .split_once('}')
            .filter(|_| brace == "{")
            .ok_or("a brace stands alone; write it twice for one in the URL")?;
        out.push_str(&value(field, node, ports)?);
        rest = after;
        if out.len() > MAX_URL {
            break;
        }
    }
    out.push_str(rest);
    if out.len() > MAX_URL { Err(format!("the URL has more than {MAX_URL} characters")) } else { Ok(out) }
}

fn value(field: &str, node: &Map<String, Value>, ports: &[Value]) -> Result<String, String> {
    let unknown = || format!("{{{field}}} names nothing; {{node[uuid]}} and {{ports[0][address]}} are examples");
    let (name, path) = field.split_once('[').ok_or_else(unknown)?;
    let keys = path.strip_suffix(']').ok_or_else(unknown)?.split("][");
    let whole = match name {
        "node" => Value::Object(node.clone()),
        "ports" => Value::Array(ports.to_vec()),
        _ => return Err(unknown()),
    };
    let mut at = &whole;
    for key in keys {
        let next = match at {
            Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
            other => other.get(key),
        };
        at = next.ok_or_else(unknown)?;
    }
    match at {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::fill;
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    #[test]
    fn fields_are_put_in_and_mistakes_are_told() {
        let node = json!({"uuid": "u-1", "properties": {"rack": 7}, "name": null});
        let ports = [json!({"address": "52:54:00:00:00:01"})];
        let fill = |text: &str| fill(text, node.as_object().unwrap(), &ports);
        assert_eq!(
            fill("http://x/{node[uuid]}/{node[properties][rack]}?{{m}}={ports[0][address]}").unwrap(),
            "http://x/u-1/7?{m}=52:54:00:00:00:01"
        );
        assert_eq!(fill("http://x/").unwrap(), "http://x/");
        for bad in [
            "{",
            "}",
            "{node}",
            "{node[x]}",
            "{node[name]}",
            "{ports[1][address]}",
            "{os[environ]}",
            "{node[uuid]",
            "{node.uuid}",
            "{node[properties]}",
        ] {
            assert!(fill(&format!("http://x/{bad}")).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}\\[\\]a-z0é:/]{0,60}", any in any::<String>()) {
            let node = json!({"a": "b"});
            let _ = (fill(&text, node.as_object().unwrap(), &[]), fill(&any, node.as_object().unwrap(), &[]));
        }
    }
}
