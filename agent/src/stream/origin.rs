//! Who may see credentials, and which redirects may be followed.

use super::error::FetchError;
use super::oci::reference::Reference;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::url_text::shown;
use http::HeaderValue;
use std::net::IpAddr;
use url::{Host, Origin, Url};

/// An Authorization header bound to the origins (scheme, host, port) it was given for. Cannot be printed.
#[derive(Clone)]
pub struct Authorization {
    value: HeaderValue,
    origins: Vec<Origin>,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl Authorization {
    /// From a complete header value in base64, as `image_request_authorization` has it.
    ///
    /// # Errors
    /// Text that is not base64 or not a header value; the text itself is not repeated.
    pub fn ready_made(encoded: &str, urls: &[Url]) -> Result<Self, String> {
        let bytes = STANDARD
            .decode(encoded.trim())
            .map_err(|_| "image_request_authorization is not base64 of an Authorization header".to_owned())?;
        Self::new(&bytes, urls)
    }

    /// HTTP basic authentication.
    ///
    /// # Errors
    /// A user name with a colon.
    pub fn basic(user: &str, password: &str, urls: &[Url]) -> Result<Self, String> {
        if user.contains(':') {
            return Err("image_server_user must not contain a colon".into());
        }
        Self::new(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))).as_bytes(), urls)
    }

    /// A token as RFC 6750 sends it.
    ///
    /// # Errors
    /// A token with characters that a header cannot have.
    pub fn bearer(token: &str, urls: &[Url]) -> Result<Self, String> {
        Self::new(format!("Bearer {token}").as_bytes(), urls)
    }

    /// The same for other origins: whoever asks knows that they belong together.
    pub fn rebound(&self, urls: &[Url]) -> Self {
        Self { value: self.value.clone(), origins: urls.iter().map(Url::origin).collect() }
    }

    /// User and password, which a token service takes; a token it does not.
    pub fn is_basic(&self) -> bool {
        self.value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
    }

    fn new(bytes: &[u8], urls: &[Url]) -> Result<Self, String> {
        let mut value = HeaderValue::from_bytes(bytes.trim_ascii()).map_err(|_| {
            "the Authorization header for the image server has characters a header cannot have".to_owned()
        })?;
        value.set_sensitive(true);
        Ok(Self { value, origins: urls.iter().map(Url::origin).collect() })
    }

    /// The header for `url`, if it was meant for that origin.
    pub fn for_url(&self, url: &Url) -> Option<&HeaderValue> {
        self.origins.contains(&url.origin()).then_some(&self.value)
    }
}

/// Parses an image or checksum URL.
///
/// # Errors
/// Anything but http and https with a host, and oci, as a sentence.
pub fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|cause| format!("`{}` is not a URL: {cause}", cut(text)))?;
    if url.scheme() == "oci" {
        return Reference::parse(&url).map(|_| url).map_err(|error| error.to_string());
    }
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("`{}`: images are fetched over http, https and oci only", cut(&shown(&url))));
    }
    Ok(url)
}

/// Where a redirect from `from` leads.
///
/// # Errors
/// Another scheme than http(s), or from a network address into the machine itself or its link (metadata services).
pub fn follow(from: &Url, location: &str) -> Result<Url, FetchError> {
    let refuse = |reason| FetchError::Redirect { url: shown(from), target: cut(location), reason };
    let to = from.join(location).map_err(|_| refuse("that is not a URL"))?;
    if !matches!(to.scheme(), "http" | "https") || to.host().is_none() {
        return Err(refuse("only http and https are followed"));
    }
    if is_inner(&to) && !is_inner(from) {
        return Err(refuse("a redirect into this machine or to a link-local address is not followed"));
    }
    Ok(to)
}

fn is_inner(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => address.to_canonical(),
        Some(Host::Domain(name)) => return name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        None => return false,
    };
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::{Authorization, follow, parse, shown};

    #[test]
    fn credentials_stay_with_their_origin() {
        let image = parse("https://images.example:8443/a.raw").unwrap();
        let secret = Authorization::basic("me", "pass", std::slice::from_ref(&image)).unwrap();
        assert_eq!(secret.for_url(&image).unwrap(), "Basic bWU6cGFzcw==");
        for other in ["https://images.example/a.raw", "http://images.example:8443/", "https://evil.example:8443/a.raw"]
        {
            assert!(secret.for_url(&parse(other).unwrap()).is_none(), "{other}");
        }
        let printed = format!("{secret:?} {:?}", secret.for_url(&image));
        assert!(!printed.contains("bWU6"), "{printed}");
        let ready = Authorization::ready_made("QmVhcmVyIHQwa2Vu", std::slice::from_ref(&image)).unwrap();
        assert_eq!(ready.for_url(&image).unwrap(), "Bearer t0ken");
        assert!(Authorization::ready_made("***", &[]).is_err());
        assert!(Authorization::ready_made("QQpC", &[]).is_err(), "a line break in a header");
    }

    #[test]
    fn redirects_leave_neither_http_nor_the_network() {
        let from = parse("http://images.example/a").unwrap();
        assert_eq!(follow(&from, "/b").unwrap().as_str(), "http://images.example/b");
        assert_eq!(follow(&from, "https://cdn.example/x").unwrap().as_str(), "https://cdn.example/x");
        for bad in [
            "file:///etc/shadow",
            "ftp://a/b",
            "http://169.254.169.254/",
            "http://localhost/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "data:,x",
            "http://",
        ] {
            assert!(follow(&from, bad).is_err(), "{bad}");
        }
        let lab = parse("http://127.0.0.1:80/a").unwrap();
        assert!(follow(&lab, "http://127.0.0.1:81/b").is_ok());
    }

    #[test]
    fn shown_urls_carry_no_secrets() {
        assert_eq!(shown(&parse("http://u:p@h/a?sig=x#f").unwrap()), "http://h/a");
        assert!(parse("file:///a").is_err() && parse("not a url").is_err());
    }
}
