//! Hides what two servers cannot have in common: identifiers, times, addresses.

use std::collections::BTreeMap;

use serde_json::Value;

/// Changes every text of a document, keys included.
pub fn each_text(value: &mut Value, hide: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = hide(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, hide)),
        Value::Object(map) => {
            let old = std::mem::take(map);
            map.extend(old.into_iter().map(|(key, mut value)| {
                each_text(&mut value, hide);
                (hide(&key), value)
            }));
        }
        _ => {}
    }
}

/// Puts in order what the reference lists as its sets fall: the interfaces that are enabled.
pub fn sort_sets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                // Traits are a set: the reference has them in the order of its database.
                if key == "traits" || (key.starts_with("enabled_") && key.ends_with("_interfaces")) {
                    sort(value);
                }
                sort_sets(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort_sets),
        _ => {}
    }
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => items.sort_by_key(Value::to_string),
        // The command line shows lists as text.
        Value::String(text) => {
            let mut words: Vec<&str> = text.split(", ").collect();
            words.sort_unstable();
            *text = words.join(", ");
        }
        _ => {}
    }
}

/// One text: the server's address, what was kept (by its name), other UUIDs, times, tokens of consoles, memory addresses.
pub fn hide(text: &str, base: &str, kept: &BTreeMap<String, String>) -> String {
    let mut text = text.replace(base, "<base>");
    for (name, value) in kept.iter().filter(|(_, value)| value.len() >= 36) {
        text = text.replace(value.as_str(), &format!("<{name}>"));
    }
    text = replaced(&text, "<uuid>", |rest| {
        let fits = |(at, byte): (usize, u8)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        (rest.len() >= 36 && rest.bytes().take(36).enumerate().all(fits)).then_some(36)
    });
    text = replaced(&text, "<time>", |rest| {
        let fits = |(at, byte): (usize, u8)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            _ => byte.is_ascii_digit(),
        };
        let date = rest.len() >= 19 && rest.starts_with("20") && rest.bytes().take(13).enumerate().all(fits);
        let part = |byte: &u8| byte.is_ascii_digit() || b"T:.+-Z".contains(byte);
        date.then(|| rest.bytes().take_while(part).count())
    });
    if let Some((page, _)) = text.split_once("%26token%3D") {
        text = format!("{page}%26token%3D<token>");
    }
    replaced(&text, "<address>", |rest| {
        let digits = rest.strip_prefix("0x")?.bytes().take_while(u8::is_ascii_hexdigit).count();
        (digits >= 8).then_some(digits + 2)
    })
}

/// Every place where `length` finds something.
fn replaced(text: &str, by: &str, length: impl Fn(&str) -> Option<usize>) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(char) = rest.chars().next() {
        let (shown, taken) = match length(rest) {
            Some(taken) => (by, taken),
            None => (&rest[..char.len_utf8()], char.len_utf8()),
        };
        out.push_str(shown);
        rest = &rest[taken..];
    }
    out
}

#[test]
fn identifiers_times_and_addresses_are_hidden() {
    let kept = BTreeMap::from([("N".to_owned(), "1be26c0b-03f2-4d2e-ae87-c02d7f33c123".to_owned())]);
    let text = "http://h/v1/1be26c0b-03f2-4d2e-ae87-c02d7f33c123 2be26c0b-03f2-4d2e-ae87-c02d7f33c123 at \
                2026-11-20T10:04:09.829512+00:00, <FakeBoot object at 0x7f9e9be13890>";
    assert_eq!(hide(text, "http://h", &kept), "<base>/v1/<N> <uuid> at <time>, <FakeBoot object at <address>>");
}
