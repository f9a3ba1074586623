//! Values as Python writes them: texts of the contract quote them so, and people compare texts.

use super::args::cut;
use serde_json::Value;
use std::fmt::Write;

/// `{'op': 'remove', 'list': [1, None]}`; cut, as everything that callers sent.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    cut(&out)
}

/// `'a', 'b'`, for the brackets around it.
pub fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => _ = write!(out, "{number}"),
        Value::String(text) => quoted(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                quoted(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
    }
}

/// Single quotes, unless the text holds some and no double ones.
fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            char if char == quote => _ = write!(out, "\\{char}"),
            char if char.is_control() => _ = write!(out, "\\x{:02x}", u32::from(char)),
            char => out.push(char),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn python_literals() {
        let value = json!({"op": "add", "value": [1, 2.5, null, true], "it's": "a\n\"b\""});
        assert_eq!(repr(&value), r#"{'op': 'add', 'value': [1, 2.5, None, True], "it's": 'a\n"b"'}"#);
        assert_eq!(words(&["a", "b c"]), "'a', 'b c'");
    }
}
