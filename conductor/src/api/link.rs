//! Absolute links (rest-api section 1.4).

use serde_json::{Value, json};

/// `self` and `bookmark` of a resource: the second has no version in its path.
pub fn pair(base: &str, path: &str) -> Value {
    json!([
        {"href": format!("{base}/v1/{path}"), "rel": "self"},
        {"href": format!("{base}/{path}"), "rel": "bookmark"},
    ])
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
    fn the_option_wins_and_strange_hosts_are_not_repeated() {
        assert_eq!(base(Some("https://api.example/"), Some("h"), "f"), "https://api.example");
        assert_eq!(base(None, Some("h:1"), "f"), "http://h:1");
        assert_eq!(base(None, Some("h/<script>"), "f"), "http://f");
    }
}
