//! Masks secret-looking values in text of any origin: kernel lines, logs, JSON, URLs.

use super::text::clean;
use std::borrow::Cow;

/// What stands for a masked value; the same word as on the wire.
const MASK: &str = "******";
/// A name that contains one of these has a secret as its value.
const SECRET_NAMES: [&str; 13] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "rootpwd",
    "credential",
    "creds",
    "api_key",
    "configdrive",
    "authorization",
    "signature",
    "temp_url_sig",
];

/// Replaces the values of `name=value`, `name: value`, `"name": "value"` and `--name value` where the name tells of a secret,
/// and user names and passwords in URLs; leaves out private keys in PEM.
pub fn mask_secrets(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY-----");
        if begins && !in_key {
            masked.push_str(MASK);
            masked.push('\n');
        }
        // Until the end of the key; a key cut short hides what follows rather than show a part of itself.
        in_key = (in_key || begins) && !line.contains("-----END");
        if !in_key && !begins && !line.contains("PRIVATE KEY-----") {
            mask_line(&mask_options(line), &mut masked);
        }
    }
    masked
}

/// The arguments of a program as one line without secrets: values of options whose name tells of one, of variables given to
/// a container (`-e NAME=value`), and whatever [`mask_secrets`] finds. Bounded by `limit` bytes.
pub fn mask_arguments<'a>(arguments: impl Iterator<Item = &'a [u8]>, limit: usize) -> String {
    let mut line = String::new();
    let mut hides = Hides::Nothing;
    for argument in arguments {
        let text = clean(argument, limit);
        let shown = match hides {
            Hides::Whole => MASK.to_owned(),
            Hides::AfterName => hide_value(&text),
            Hides::Nothing => match text.strip_prefix("--env=") {
                Some(variable) => format!("--env={}", hide_value(variable)),
                None => mask_secrets(&text),
            },
        };
        hides = match text.as_str() {
            _ if hides != Hides::Nothing => Hides::Nothing,
            "-e" | "--env" => Hides::AfterName,
            option if is_secret_option(option) => Hides::Whole,
            _ => Hides::Nothing,
        };
        let room = limit.saturating_sub(line.len());
        if shown.len() + 1 > room {
            line.push_str(" ...");
            break;
        }
        line.push(' ');
        line.push_str(&shown);
    }
    line.trim_start().to_owned()
}

/// What the argument before says of this one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hides {
    Nothing,
    Whole,
    AfterName,
}

/// Is the value of this option a secret, and the next word?
fn is_secret_option(option: &str) -> bool {
    option.starts_with('-') && !option.contains('=') && is_secret(option)
}

fn hide_value(variable: &str) -> String {
    variable.split_once('=').map_or_else(|| variable.to_owned(), |(name, _)| format!("{name}={MASK}"))
}

/// Options of programs inside of a text, as `pull_options` of a container step are.
fn mask_options(line: &str) -> Cow<'_, str> {
    if !line.contains("--") {
        return line.into();
    }
    let mut masked = String::with_capacity(line.len());
    let mut hides = false;
    for word in line.split_inclusive([' ', '\t']) {
        let bare = word.trim_start_matches(['"', '\'', '[', '\\']);
        if hides && !bare.starts_with("--") {
            masked.push_str(MASK);
            let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ']' | '}' | '\\');
            // The value begins behind its own quotation marks.
            let begin = word.len() - word.trim_start_matches(['"', '\'', '\\']).len();
            let value = word.get(begin..).unwrap_or_default();
            masked.push_str(value.find(end).and_then(|at| value.get(at..)).unwrap_or_default());
        } else {
            masked.push_str(word);
        }
        hides = bare.starts_with("--") && is_secret_option(bare);
    }
    masked.into()
}

fn mask_line(line: &str, masked: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        masked.push_str(before);
        rest = after;
        if let Some(tail) = after.strip_prefix("//").filter(|_| before.ends_with(':')) {
            // The authority of a URL ends at the path; an @ in it ends the credentials.
            let authority = tail.split(|c: char| c == '/' || c.is_whitespace() || c == '"').next().unwrap_or_default();
            masked.push_str("//");
            rest = tail;
            if let Some(at) = authority.rfind('@') {
                masked.push_str(MASK);
                rest = tail.get(at..).unwrap_or_default();
            }
            continue;
        }
        if !is_secret(before) {
            continue;
        }
        let value = after.trim_start_matches([' ', '\t']);
        let blank = after.len() - value.len();
        let whole_line = before.to_ascii_lowercase().contains("authorization"); // `Basic` is not the secret
        let (length, quoted) = if whole_line { (value.trim_end().len(), false) } else { value_length(value) };
        if length == 0 {
            continue;
        }
        masked.push_str(after.get(..blank).unwrap_or_default());
        masked.push_str(if quoted { "\"******\"" } else { MASK });
        rest = value.get(length..).unwrap_or_default();
    }
    masked.push_str(rest);
}

/// Does the name right before the separator tell of a secret?
fn is_secret(before: &str) -> bool {
    let name = before.trim_end().trim_end_matches(['=', ':']).trim_end_matches(['"', '\'', ' ', '\\']);
    let start =
        name.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_' && c != '.').map_or(0, |at| at + 1);
    let name = name.get(start..).unwrap_or(name).to_ascii_lowercase();
    // `auth` is a registry's user and password; as a part of other names it says nothing.
    name == "auth" || SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Bytes of the value, and whether it is in quotes.
fn value_length(value: &str) -> (usize, bool) {
    if let Some(inner) = value.strip_prefix('"') {
        let mut escaped = false;
        for (at, character) in inner.char_indices() {
            match character {
                '"' if !escaped => return (at + 2, true),
                '\n' => return (at + 1, true),
                _ => escaped = character == '\\' && !escaped,
            }
        }
        return (value.len(), true);
    }
    (value.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']' | '&')).unwrap_or(value.len()), false)
}

#[cfg(test)]
mod tests {
    use super::{mask_arguments, mask_secrets};
    use proptest::prelude::proptest;

    #[test]
    fn kernel_lines_json_logs_and_urls_are_masked() {
        for (plain, masked) in [
            ("a=1 ipa-agent-token=abc rootpwd=\"x y\" b=2", "a=1 ipa-agent-token=****** rootpwd=\"******\" b=2"),
            (r#"{"agent_token": "a\"b", "x": "token"}"#, r#"{"agent_token": "******", "x": "token"}"#),
            ("password: hunter2, next", "password: ******, next"),
            ("http://me:pw@host/p?token=abc&x=1", "http://******@host/p?token=******&x=1"),
            ("time 12:30:01 eth0: up, mac=52:54:00:00:00:01", "time 12:30:01 eth0: up, mac=52:54:00:00:00:01"),
            ("Authorization: Basic YTpi\nX-Auth-Token: gAAA x\n", "Authorization: ******\nX-Auth-Token: ****** x\n"),
            ("u?temp_url_sig=ab12&temp_url_expires=9", "u?temp_url_sig=******&temp_url_expires=9"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb\n", "a\n******\nb\n"),
            ("configdrive=H4sIAAAA\nsecret=\n", "configdrive=******\nsecret=\n"),
            (
                r#"{"auths": {"r:5000": {"auth": "dTpw"}}, "author": "me"}"#,
                r#"{"auths": {"r:5000": {"auth": "******"}}, "author": "me"}"#,
            ),
            (r#"{"pull_options": "--creds u:pw", "x": 1}"#, r#"{"pull_options": "--creds ******", "x": 1}"#),
            (
                r#"["--password", "--tls-verify pw", "--creds \"u:p w\""]"#,
                r#"["--password", "--tls-verify pw", "--creds ****** w\""]"#,
            ),
            ("a --token é x --level 1\n", "a --token ****** x --level 1\n"),
        ] {
            assert_eq!(mask_secrets(plain), masked);
        }
    }

    #[test]
    fn arguments_of_programs_are_shown_without_secrets_and_bounded() {
        let shown = |line: &str, limit| mask_arguments(line.split(' ').map(str::as_bytes), limit);
        for (given, wanted) in [
            ("--create /dev/md0 --level 1", "--create /dev/md0 --level 1"),
            ("login --password hunter2 host", "login --password ****** host"),
            ("login --password=hunter2 host", "login --password=****** host"),
            ("run -e KEY=a=b --env=X=y -e NAME image", "run -e KEY=****** --env=X=****** -e NAME image"),
            ("pull http://me:pw@host/x", "pull http://******@host/x"),
            ("pull --creds me:pw image", "pull --creds ****** image"),
            ("--security-erase NULL", "--security-erase NULL"),
        ] {
            assert_eq!(shown(given, 1000), wanted);
        }
        assert_eq!(shown("aaaa bbbb cccc", 10), "aaaa bbbb ...");
        assert_eq!(mask_arguments([&b"a\x1b[2J\xff"[..]].into_iter(), 100), "a[2J\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_a_token_never_survives(noise in "[ -~äé\n]{0,60}", end in "[ ,\n]") {
            let _ = mask_secrets(&noise);
            let masked = mask_secrets(&format!("{noise} agent_token=SESAME{end}{noise}"));
            // An open quote before it may swallow the name, never show the value.
            assert!(!masked.contains("agent_token=SESAME"), "{masked}");
        }
    }
}
