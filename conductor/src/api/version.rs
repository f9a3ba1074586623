//! Which microversion a request speaks (rest-api section 1.2).

use super::error::ApiError;
use http::HeaderMap;

/// The newest minor version served here.
pub const NEWEST: u16 = 115;

/// The oldest.
pub const OLDEST: u16 = 1;

/// The header of Ironic's own clients; the answer repeats it and adds `-Minimum-` and `-Maximum-`.
pub const HEADER: &str = "x-openstack-ironic-api-version";

/// The header that all OpenStack services share; wins over [`HEADER`].
pub const STANDARD_HEADER: &str = "openstack-api-version";

/// Minor part of 1.N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// The version has what appeared in 1.`minor`.
    pub fn has(self, minor: u16) -> bool {
        self.0 >= minor
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// The version that the headers of a request ask for; 1.1 when they are silent.
///
/// # Errors
/// 406 with the text of the contract.
pub fn negotiate(headers: &HeaderMap) -> Result<Version, ApiError> {
    let Some(word) = wanted(headers) else { return Ok(Version(OLDEST)) };
    if word.eq_ignore_ascii_case("latest") {
        return Ok(Version(NEWEST));
    }
    let invalid = || ApiError::version("Invalid value for X-OpenStack-Ironic-API-Version header");
    let (major, minor) = word.split_once('.').ok_or_else(invalid)?;
    let digits = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(major) || !digits(minor) {
        return Err(invalid());
    }
    if major.trim_start_matches('0') != "1" {
        return Err(ApiError::version(format!(
            "Mutually exclusive versions requested. Version {word} requested but not supported by this service. \
             The supported version range is: [1.{OLDEST}, 1.{NEWEST}]."
        )));
    }
    match minor.parse::<u32>().ok().and_then(|minor| u16::try_from(minor).ok()) {
        Some(minor) if (OLDEST..=NEWEST).contains(&minor) => Ok(Version(minor)),
        _ => Err(ApiError::version(format!(
            "Version {word} was requested but the minor version is not supported by this service. \
             The supported version range is: [1.{OLDEST}, 1.{NEWEST}]."
        ))),
    }
}

/// The text of the winning header.
fn wanted(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let standard = text(STANDARD_HEADER).and_then(|value| {
        value.split(',').find_map(|part| {
            let (service, version) = part.trim().split_once(' ')?;
            service.eq_ignore_ascii_case("baremetal").then(|| version.trim().to_owned())
        })
    });
    standard.or_else(|| text(HEADER).map(|value| value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(pairs: &[(&'static str, &str)]) -> Result<Version, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        negotiate(&headers)
    }

    #[test]
    fn silence_is_1_1_and_latest_is_the_newest() {
        assert_eq!(asked(&[]), Ok(Version(1)));
        assert_eq!(asked(&[(HEADER, "latest")]), Ok(Version(NEWEST)));
        assert_eq!(asked(&[(HEADER, "1.72")]), Ok(Version(72)));
    }

    #[test]
    fn the_shared_header_wins_and_other_services_are_not_ours() {
        assert_eq!(asked(&[(STANDARD_HEADER, "baremetal 1.50"), (HEADER, "1.2")]), Ok(Version(50)));
        assert_eq!(asked(&[(STANDARD_HEADER, "compute 2.1, baremetal 1.50")]), Ok(Version(50)));
        assert_eq!(asked(&[(STANDARD_HEADER, "compute 2.1"), (HEADER, "1.2")]), Ok(Version(2)));
    }

    #[test]
    fn what_is_no_version_or_out_of_range_is_406_with_its_own_sentence() {
        for (text, words) in [
            ("2.1", "Mutually exclusive versions requested. Version 2.1"),
            ("1.200", "Version 1.200 was requested but the minor version"),
            ("1.0", "[1.1, 1.115]"),
            ("1.99999999", "minor version is not supported"),
            ("abc", "Invalid value for X-OpenStack-Ironic-API-Version header"),
            ("1.", "Invalid value"),
            ("1.1.1", "Invalid value"),
        ] {
            let error = asked(&[(HEADER, text)]).unwrap_err();
            assert_eq!(error.status, 406);
            assert!(error.text.contains(words), "{text}: {}", error.text);
        }
    }
}
