//! What an image must hash to: a digest, or the URL of a file that lists digests.

use super::ImageError;
use common::image_ref::DigestKind;
use url::Url;

/// A digest that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which one.
    pub kind: DigestKind,
    /// Lower-case hex of the right length.
    pub hex: String,
}

impl Expected {
    /// Checks length and digits.
    pub fn new(kind: DigestKind, hex: &str) -> Result<Self, ImageError> {
        let hex = hex.trim();
        if hex.len() != kind.hex_len() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let (name, digits) = (kind.name(), kind.hex_len());
            return Err(ImageError::invalid(format!("the {name} checksum of the image must have {digits} hex digits")));
        }
        Ok(Self { kind, hex: hex.to_ascii_lowercase() })
    }

    /// By its length: 32 md5, 64 sha256, 128 sha512.
    pub fn by_length(hex: &str) -> Option<Self> {
        DigestKind::from_hex_len(hex.trim().len()).and_then(|kind| Self::new(kind, hex).ok())
    }
}

/// How instance_info names the checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChecksumSpec {
    /// A digest.
    Digest(Expected),
    /// A checksum file, and the algorithm if it was named.
    FileUrl(Url, Option<DigestKind>),
    /// None given: only `file://` sources may.
    Absent,
}

/// Reads image_checksum, image_os_hash_algo and image_os_hash_value (agent-protocol section 11).
pub fn read(checksum: Option<&str>, algo: Option<&str>, value: Option<&str>) -> Result<ChecksumSpec, ImageError> {
    let given = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    match (given(algo), given(value), given(checksum)) {
        (Some(algo), Some(value), _) => by_name(&algo, &value),
        (Some(_), None, None) | (None, Some(_), None) => Err(ImageError::invalid(
            "image_os_hash_algo and image_os_hash_value belong together: instance_info has only one of them",
        )),
        (_, _, Some(checksum)) => by_itself(&checksum),
        (None, None, None) => Ok(ChecksumSpec::Absent),
    }
}

fn by_name(algo: &str, value: &str) -> Result<ChecksumSpec, ImageError> {
    let kind = DigestKind::from_name(algo).ok_or_else(|| {
        let algo: String = algo.chars().take(40).collect();
        ImageError::invalid(format!(
            "image_os_hash_algo {algo:?} is not known; use md5, sha1, sha256, sha384 or sha512"
        ))
    })?;
    match file_url(value) {
        Some(url) => Ok(ChecksumSpec::FileUrl(url, Some(kind))),
        None => Expected::new(kind, value).map(ChecksumSpec::Digest),
    }
}

fn by_itself(checksum: &str) -> Result<ChecksumSpec, ImageError> {
    if let Some(url) = file_url(checksum) {
        return Ok(ChecksumSpec::FileUrl(url, None));
    }
    if let Some((algo, value)) = checksum.split_once(':')
        && DigestKind::from_name(algo).is_some()
    {
        return by_name(algo, value);
    }
    Expected::by_length(checksum).map(ChecksumSpec::Digest).ok_or_else(|| {
        ImageError::invalid(
            "image_checksum must be an md5, sha256 or sha512 digest in hex, `algorithm:digest`, or the http(s) URL of a \
             checksum file",
        )
    })
}

fn file_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Finds the digest of `name` in a checksum file: `HEX  name`, `HEX *name`, `ALGO (name) = HEX`, or one plain digest.
pub fn find(text: &str, name: &str, kind: Option<DigestKind>) -> Option<Expected> {
    let fits = |word: &str| match kind {
        Some(kind) => Expected::new(kind, word).ok(),
        None => Expected::by_length(word),
    };
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if let [only] = lines.as_slice()
        && let Some(found) = fits(only)
    {
        return Some(found);
    }
    lines.iter().find_map(|line| {
        // The name in parentheses (BSD), else the last word with its optional star.
        if let Some((before, after)) = line.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) {
            return (before == name).then(|| fits(after.trim_start_matches([' ', '=']))).flatten();
        }
        let (first, last) = (line.split_whitespace().next()?, line.split_whitespace().last()?);
        let file = last.trim_start_matches('*');
        (file == name || file.strip_prefix("./") == Some(name)).then(|| fits(first)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn digest(kind: DigestKind, hex: &str) -> ChecksumSpec {
        ChecksumSpec::Digest(Expected { kind, hex: hex.into() })
    }

    #[test]
    fn every_form_of_the_contract_is_understood() {
        let upper = SHA.to_uppercase();
        assert_eq!(read(Some(&upper), None, None).unwrap(), digest(DigestKind::Sha256, SHA));
        assert_eq!(read(Some(MD5), None, None).unwrap(), digest(DigestKind::Md5, MD5));
        assert_eq!(read(Some(&format!("sha256:{SHA}")), None, None).unwrap(), digest(DigestKind::Sha256, SHA));
        assert_eq!(read(Some(MD5), Some("SHA256"), Some(SHA)).unwrap(), digest(DigestKind::Sha256, SHA));
        let url = Url::parse("http://host/SHA256SUMS").unwrap();
        assert_eq!(read(Some(url.as_str()), None, None).unwrap(), ChecksumSpec::FileUrl(url.clone(), None));
        let named = ChecksumSpec::FileUrl(url.clone(), Some(DigestKind::Sha512));
        assert_eq!(read(None, Some("sha512"), Some(url.as_str())).unwrap(), named);
        assert_eq!(read(Some(" "), None, None).unwrap(), ChecksumSpec::Absent);
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        for (checksum, algo, value) in [
            (Some("abc"), None, None),
            (Some("sha256:abc"), None, None),
            (Some("file:///etc/passwd"), None, None),
            (None, Some("sha256"), None),
            (None, None, Some(SHA)),
            (None, Some("crc32"), Some(SHA)),
            (None, Some("sha256"), Some(MD5)),
        ] {
            assert!(matches!(read(checksum, algo, value), Err(ImageError::Invalid(_))), "{checksum:?} {algo:?}");
        }
    }

    #[test]
    fn checksum_files_in_all_their_styles() {
        let gnu = format!("# comment\n{MD5}  other.img\n{SHA} *disk.img\n");
        let bsd = format!("SHA256 (other.img) = {}\nSHA256 (disk.img) = {SHA}\n", "0".repeat(64));
        for text in [gnu, bsd, format!("{SHA}\n"), format!("{SHA}  ./disk.img")] {
            assert_eq!(find(&text, "disk.img", None).unwrap().hex, SHA, "{text}");
        }
        assert_eq!(find(&format!("{SHA}  not-disk.img\n"), "disk.img", None), None);
        assert_eq!(
            find(&format!("{MD5}  disk.img\n{SHA}  disk.img\n"), "disk.img", Some(DigestKind::Sha256)).unwrap().hex,
            SHA
        );
    }

    proptest! {
        #[test]
        fn hostile_checksum_files_never_panic(text in any::<String>(), name in any::<String>()) {
            let _ = find(&text, &name, None);
            let _ = read(Some(&text), Some(&name), None);
        }
    }
}
