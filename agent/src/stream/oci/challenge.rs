//! The log-in of registries: a `WWW-Authenticate: Bearer` challenge (RFC 6750, quoted strings by RFC 9110) and the answer of the
//! token service.

use serde::Deserialize;

/// What a registry wants before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Address of the token service.
    pub realm: String,
    /// To be repeated to it.
    pub service: Option<String>,
    /// What to ask for.
    pub scope: Option<String>,
}

impl Challenge {
    /// A header's value; None for other schemes and without a realm.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut found = Self { realm: String::new(), service: None, scope: None };
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = value(after.trim_start())?;
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => found.realm = value,
                "service" => found.service = Some(value),
                "scope" => found.scope = Some(value),
                _ => {}
            }
            rest = after.trim_start().strip_prefix(',').unwrap_or("").trim_start();
        }
        (!found.realm.is_empty()).then_some(found)
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => {
                value.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            _ => value.push(letter),
        }
    }
    None
}

/// The token in a service's answer; older services call it `token`, RFC 6749 `access_token`.
pub fn token(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.token.or(answer.access_token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Challenge, token};
    use proptest::prelude::{any, proptest};

    #[test]
    fn challenges() {
        let all =
            r#"Bearer realm="https://auth.example/token",service="registry, of \"ours\"",scope="repository:a/b:pull""#;
        let found = Challenge::parse(all).unwrap();
        assert_eq!(found.realm, "https://auth.example/token");
        assert_eq!(found.service.as_deref(), Some("registry, of \"ours\""));
        assert_eq!(found.scope.as_deref(), Some("repository:a/b:pull"));
        assert_eq!(Challenge::parse("bearer realm=x, error=y").unwrap().realm, "x");
        for bad in ["", "Basic realm=\"x\"", "Bearer", "Bearer realm=\"x", "Bearer service=\"x\""] {
            assert_eq!(Challenge::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn tokens() {
        assert_eq!(token(br#"{"token": "a", "expires_in": 5}"#).unwrap(), "a");
        assert_eq!(token(br#"{"access_token": "b"}"#).unwrap(), "b");
        assert!(token(b"{}").is_none() && token(br#"{"token": ""}"#).is_none() && token(b"x").is_none());
    }

    proptest! {
        #[test]
        fn any_header_has_a_verdict(text in any::<String>()) {
            let _ = Challenge::parse(&text);
            let _ = Challenge::parse(&format!("Bearer {text}"));
        }
    }
}
