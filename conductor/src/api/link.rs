//! Absolute links (rest-api section 1.4).

use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Display;

/// `self` and `bookmark` of a resource: the second has no version in its path.
pub fn links(base: &str, path: impl Display) -> impl Serialize {
    let path = path.to_string();
    [("/v1/", "self"), ("/", "bookmark")].map(|(below, rel)| Link { href: [base, below, &path].concat(), rel })
}

/// The same as a value.
pub fn pair(base: &str, path: &str) -> Value {
    json!(links(base, path))
}

#[derive(Serialize)]
struct Link {
    href: String,
    rel: &'static str,
}

/// The base of every link: the option, else what the client called us. `fallback` is the listener's own base, and says
/// whether it speaks TLS.
pub fn base(public: Option<&str>, host: Option<&str>, fallback: &str) -> String {
    if let Some(public) = public {
        return public.trim_end_matches('/').to_owned();
    }
    // The header comes from the client: only what a host name and port are made of may come back in an answer.
    let clean = |host: &&str| {
        !host.is_empty()
            && host.len() <= 300
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]%".contains(&b))
    };
    let (scheme, address) = fallback.split_once("://").unwrap_or(("http", fallback));
    format!("{scheme}://{}", host.filter(clean).unwrap_or(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_two_and_what_is_odd_in_them_is_escaped() {
        let text = r#"[{"href":"http://\"h/v1/nodes/1","rel":"self"},{"href":"http://\"h/nodes/1","rel":"bookmark"}]"#;
        assert_eq!(serde_json::to_string(&links("http://\"h", format_args!("nodes/{}", 1))).unwrap(), text);
        assert_eq!(pair("http://\"h", "nodes/1").to_string(), text);
    }

    #[test]
    fn the_option_wins_and_strange_hosts_are_not_repeated() {
        assert_eq!(base(Some("https://api.example/"), Some("h"), "f"), "https://api.example");
        assert_eq!(base(None, Some("h:1"), "f"), "http://h:1");
        assert_eq!(base(None, Some("h/<script>"), "f"), "http://f");
    }
}
