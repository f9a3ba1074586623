//! Masks secret-looking values in text of any origin: kernel lines, logs, JSON, URLs.

/// What stands for a masked value; the same word as on the wire.
const MASK: &str = "******";
/// A name that contains one of these has a secret as its value.
const SECRET_NAMES: [&str; 12] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "rootpwd",
    "credential",
    "api_key",
    "configdrive",
    "authorization",
    "signature",
    "temp_url_sig",
];

/// Replaces the values of `name=value`, `name: value` and `"name": "value"` where the name tells of a secret, and user
/// names and passwords in URLs; leaves out private keys in PEM.
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
            mask_line(line, &mut masked);
        }
    }
    masked
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
    let name = before.trim_end_matches(['=', ':']).trim_end_matches(['"', '\'', ' ', '\\']);
    let start =
        name.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_' && c != '.').map_or(0, |at| at + 1);
    let name = name.get(start..).unwrap_or(name).to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
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
    use super::mask_secrets;
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
        ] {
            assert_eq!(mask_secrets(plain), masked);
        }
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
