//! Absolute links (rest-api section 1.4).

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Display;

/// `self` and `bookmark` of a resource: the second has no version in its path.
pub fn links<P: Display + Copy>(base: &str, path: P) -> impl Serialize {
    [("/v1/", "self"), ("/", "bookmark")].map(|(below, rel)| Link { href: Href { base, below, path }, rel })
}

/// The same as a value.
pub fn pair(base: &str, path: &str) -> Value {
    json!(links(base, path))
}

#[derive(Serialize)]
#[serde(bound = "P: Display")]
struct Link<'a, P> {
    href: Href<'a, P>,
    rel: &'static str,
}

/// An address that is put together where it is written.
struct Href<'a, P> {
    base: &'a str,
    below: &'static str,
    path: P,
}

impl<P: Display> Serialize for Href<'_, P> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&format_args!("{}{}{}", self.base, self.below, self.path))
    }
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
