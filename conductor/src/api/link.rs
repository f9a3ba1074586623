//! Absolute links (rest-api section 1.4).

use super::field::put;
use serde_json::{Value, json};

/// `self` and `bookmark` of a resource: the second has no version in its path.
pub fn pair(base: &str, path: &str) -> Value {
    json!([
        {"href": format!("{base}/v1/{path}"), "rel": "self"},
        {"href": format!("{base}/{path}"), "rel": "bookmark"},
    ])
}

/// The same as JSON.
pub fn write_pair(base: &str, path: &str, text: &mut Vec<u8>) {
    for (start, prefix, end) in
        [("[{\"href\":", "/v1/", ",\"rel\":\"self\"},"), ("{\"href\":", "/", ",\"rel\":\"bookmark\"}]")]
    {
        text.extend_from_slice(start.as_bytes());
        put(text, &format_args!("{base}{prefix}{path}"));
        text.extend_from_slice(end.as_bytes());
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
    fn links_are_written_as_they_are_shown() {
        let mut text = Vec::new();
        write_pair("http://\"h", "nodes/1", &mut text);
        assert_eq!(text, pair("http://\"h", "nodes/1").to_string().into_bytes());
    }

    #[test]
    fn the_option_wins_and_strange_hosts_are_not_repeated() {
        assert_eq!(base(Some("https://api.example/"), Some("h"), "f"), "https://api.example");
        assert_eq!(base(None, Some("h:1"), "f"), "http://h:1");
        assert_eq!(base(None, Some("h/<script>"), "f"), "http://f");
    }
}
