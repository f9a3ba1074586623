//! URLs as they may appear in messages and logs.

use url::Url;

/// A URL fit for messages: user, password and query (signed URLs carry their secret there) left out.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(shown(&"http://u:p@h/a?sig=x#f".parse().unwrap()), "http://h/a");
    }
}
