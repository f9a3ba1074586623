//! `oci://HOST[:PORT]/NAME[:TAG][@DIGEST]`, by the grammar of the distribution specification.

use super::OciError;
use crate::stream::checksum::Expected;
use common::digest::Hasher;
use common::image_ref::DigestKind;
use std::fmt::{Display, Formatter};
use url::Url;

/// A content digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(Expected);

impl Digest {
    /// `sha256:HEX` or `sha512:HEX`, lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, hex) = text.split_once(':')?;
        let kind =
            DigestKind::from_name(name).filter(|kind| matches!(kind, DigestKind::Sha256 | DigestKind::Sha512))?;
        let lower = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let sound = name == kind.name() && hex.len() == kind.hex_len() && hex.bytes().all(lower);
        sound.then(|| Self(Expected { kind, hex: hex.to_owned() }))
    }

    /// These bytes have it.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::new(self.0.kind);
        hasher.update(bytes);
        hasher.hex() == self.0.hex
    }

    /// For the check of a download.
    pub fn expected(&self) -> Expected {
        self.0.clone()
    }
}

impl Display for Digest {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.0.kind.name(), self.0.hex)
    }
}

/// What an address of a registry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    base: Url,
    /// The repository.
    pub name: String,
    /// `latest` if there is neither tag nor digest.
    pub tag: String,
    /// The pin.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Takes an `oci` URL apart. Registries are reached by https; those of this machine by http, as container tools do.
    ///
    /// # Errors
    /// [`OciError::Reference`].
    pub fn parse(url: &Url) -> Result<Self, OciError> {
        let text: String = url.as_str().chars().filter(|letter| !letter.is_control()).take(200).collect();
        let fail = |reason| OciError::Reference { text: text.clone(), reason };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| fail("there is no host"))?;
        if url.scheme() != "oci" || !url.username().is_empty() || url.password().is_some() {
            return Err(fail("the scheme is oci, and credentials do not belong into the address"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fail("there is something after the name"));
        }
        let scheme = if matches!(host, "localhost" | "127.0.0.1" | "[::1]") { "http" } else { "https" };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let base = Url::parse(&format!("{scheme}://{host}{port}/v2/")).map_err(|_| fail("the host is none"))?;
        let path = url.path().trim_start_matches('/');
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => {
                (path, Some(Digest::parse(digest).ok_or_else(|| fail("the digest is no sha256 or sha512"))?))
            }
            None => (path, None),
        };
        let (name, tag) = path.split_once(':').unwrap_or((path, "latest"));
        let word = |part: &str| {
            let inner =
                part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
            inner && part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        };
        if name.len() > 255 || !name.split('/').all(word) {
            return Err(fail("a name has lower-case letters, digits, and . _ - / between them"));
        }
        let in_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.bytes().all(in_tag) {
            return Err(fail("a tag has letters, digits, and . _ -"));
        }
        Ok(Self { base, name: name.to_owned(), tag: tag.to_owned(), digest })
    }

    /// The address of something in the repository.
    pub fn address(&self, what: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{what}", self.name));
        url
    }
}

impl Display for Reference {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}:{}", &self.base[url::Position::BeforeHost..url::Position::AfterPort], self.name, self.tag)?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(out, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;
    use proptest::prelude::{any, proptest};

    fn parse(text: &str) -> Result<String, String> {
        let reference = Reference::parse(&text.parse().unwrap()).map_err(|error| error.to_string())?;
        Ok(reference.address(&format!("manifests/{}", reference.tag)).into())
    }

    #[test]
    fn addresses() {
        assert_eq!(parse("oci://r.example/a/b:1.2").unwrap(), "https://r.example/v2/a/b/manifests/1.2");
        assert_eq!(parse("oci://r.example:5000/a").unwrap(), "https://r.example:5000/v2/a/manifests/latest");
        assert_eq!(parse("oci://127.0.0.1:5000/a").unwrap(), "http://127.0.0.1:5000/v2/a/manifests/latest");
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pinned = Reference::parse(&format!("oci://r.example/a:t@{digest}").parse().unwrap()).unwrap();
        assert_eq!(pinned.digest.as_ref().unwrap().to_string(), digest);
        assert_eq!(pinned.to_string(), format!("r.example/a:t@{digest}"));
        for bad in [
            "oci:///a",
            "oci://h/",
            "oci://h/A",
            "oci://h/a//b",
            "oci://h/a:",
            "oci://h/a:-x",
            "oci://h/a@sha256:00",
            "oci://h/a@md5:00000000000000000000000000000000",
            "oci://u:p@h/a",
            "oci://h/a?x",
            "https://h/a",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_verdict(text in any::<String>()) {
            if let Ok(url) = url::Url::parse(&format!("oci://{text}"))
                && let Ok(reference) = Reference::parse(&url)
            {
                assert!(reference.address("x").path().starts_with("/v2/"));
            }
        }
    }
}
