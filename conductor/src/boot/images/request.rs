//! instance_info as an image request: pure, so that validation and deployment say the same.

use super::ImageError;
use super::checksum::{self, ChecksumSpec};
use crate::model::secret_map::SecretMap;
use common::image_ref::DigestKind;
use std::collections::BTreeMap;
use std::path::PathBuf;
use url::Url;

/// Where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// On an image server.
    Http(Url),
    /// On this machine.
    File(PathBuf),
}

/// Who hands the bytes to the agent (`image_download_source`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadSource {
    /// The image server itself.
    Http,
    /// This conductor, from its cache.
    Local,
}

/// What this installation allows.
#[derive(Clone, Debug)]
pub struct ImagePolicy {
    /// Default of `image_download_source`.
    pub download_source: DownloadSource,
    /// `allow_md5_checksum`.
    pub allow_md5: bool,
    /// `permitted_image_formats`.
    pub permitted_formats: Vec<String>,
    /// `stream_raw_images`.
    pub stream_raw: bool,
    /// `file_url_allowed_paths`.
    pub allowed_folders: Vec<PathBuf>,
}

/// A checked request.
#[derive(Clone, Debug)]
pub struct ImageRequest {
    /// Where from.
    pub source: Source,
    /// Who serves it.
    pub download_source: DownloadSource,
    /// What it must hash to.
    pub checksum: ChecksumSpec,
    /// Last segment of the source.
    pub id: String,
    /// `image_disk_format`.
    pub disk_format: Option<String>,
    /// `image_container_format`.
    pub container_format: Option<String>,
    /// Proxies for the agent's download.
    pub proxies: Option<BTreeMap<String, String>>,
    /// Hosts without proxy.
    pub no_proxy: Option<String>,
}

/// Reads a node's instance_info and driver_info. Errors are for the user, HTTP 400.
pub fn read(
    node: &str,
    instance_info: &SecretMap,
    driver_info: &SecretMap,
    policy: &ImagePolicy,
) -> Result<ImageRequest, ImageError> {
    let text = |key| instance_info.text(key).map(str::trim).filter(|text| !text.is_empty());
    let source_text = text("image_source").ok_or_else(|| {
        ImageError::invalid(format!(
            "Node {node} failed to validate deploy image info. Some parameters were missing. Missing are: \
             ['instance_info.image_source']"
        ))
    })?;
    let source = source("image_source", source_text)?;
    let checksum = checksum::read(text("image_checksum"), text("image_os_hash_algo"), text("image_os_hash_value"))?;
    if checksum == ChecksumSpec::Absent && matches!(source, Source::Http(_)) {
        return Err(ImageError::invalid(format!(
            "image_source's \"image_checksum\", or \"image_os_hash_algo\" and \"image_os_hash_value\" must be provided in \
             instance_info for node {node}: an image without a checksum is never written"
        )));
    }
    let kind = match &checksum {
        ChecksumSpec::Digest(expected) => Some(expected.kind),
        ChecksumSpec::FileUrl(_, kind) => *kind,
        ChecksumSpec::Absent => None,
    };
    if kind == Some(DigestKind::Md5) && !policy.allow_md5 {
        return Err(ImageError::invalid(format!(
            "Node {node}: MD5 image checksums are switched off ([agent]allow_md5_checksum); give a sha256 or sha512 checksum"
        )));
    }
    let format = |key| text(key).map(str::to_ascii_lowercase);
    let disk_format = format("image_disk_format");
    if let Some(format) = disk_format.as_ref().filter(|format| !policy.permitted_formats.contains(format)) {
        return Err(ImageError::invalid(format!(
            "Node {node}: image_disk_format {format:?} is not permitted; permitted are {} (permitted_image_formats)",
            policy.permitted_formats.join(", ")
        )));
    }
    let own_source = text("image_download_source").or_else(|| driver_info.text("image_download_source"));
    Ok(ImageRequest {
        id: last_segment(&source),
        source,
        download_source: own_source.map_or(Ok(policy.download_source), download_source)?,
        checksum,
        disk_format,
        container_format: format("image_container_format"),
        proxies: proxies(driver_info)?,
        no_proxy: driver_info.text("image_no_proxy").filter(|text| !text.is_empty()).map(str::to_owned),
    })
}

/// By the option's words. `swift` needs a service that is not here.
pub fn download_source(word: &str) -> Result<DownloadSource, ImageError> {
    match word {
        "http" => Ok(DownloadSource::Http),
        "local" => Ok(DownloadSource::Local),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(ImageError::invalid(format!("image_download_source {other:?} is not supported; use http or local")))
        }
    }
}

/// Reads a reference; `what` is its key in instance_info.
///
/// # Errors
/// It is no URL that can be used here.
pub fn source(what: &str, text: &str) -> Result<Source, ImageError> {
    let refused =
        |why: &str| Err(ImageError::invalid(format!("{what} {:?} {why}", text.chars().take(200).collect::<String>())));
    let Ok(url) = Url::parse(text) else {
        return refused("is no URL; http, https and file URLs are supported (there is no image service here)");
    };
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(Source::Http(url)),
        "file" => match url.to_file_path() {
            Ok(path) if url.query().is_none() && url.fragment().is_none() => Ok(Source::File(path)),
            _ => refused("must be file:// and an absolute path of this machine"),
        },
        _ => refused("has a scheme that is not supported; use http, https or file"),
    }
}

/// Never empty and never with a separator: agents use it as a file name.
fn last_segment(source: &Source) -> String {
    let name = match source {
        Source::Http(url) => url.path_segments().and_then(|mut all| all.next_back()).unwrap_or_default().to_owned(),
        Source::File(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let plain: String = name.chars().filter(|c| !matches!(c, '/' | '\\' | '\0') && !c.is_control()).take(200).collect();
    if matches!(plain.as_str(), "" | "." | "..") { "image".into() } else { plain }
}

fn proxies(driver_info: &SecretMap) -> Result<Option<BTreeMap<String, String>>, ImageError> {
    let mut proxies = BTreeMap::new();
    for (scheme, key) in [("http", "image_http_proxy"), ("https", "image_https_proxy")] {
        let Some(text) = driver_info.text(key).filter(|text| !text.is_empty()) else { continue };
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                proxies.insert(scheme.to_owned(), text.to_owned());
            }
            _ => return Err(ImageError::invalid(format!("driver_info.{key} must be an http or https URL"))),
        }
    }
    Ok((!proxies.is_empty()).then_some(proxies))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn policy() -> ImagePolicy {
        ImagePolicy {
            download_source: DownloadSource::Http,
            allow_md5: false,
            permitted_formats: ["raw", "qcow2"].map(str::to_owned).to_vec(),
            stream_raw: true,
            allowed_folders: Vec::new(),
        }
    }

    fn map(value: Value) -> SecretMap {
        SecretMap::from(value.as_object().unwrap().clone())
    }

    fn asked(instance_info: Value) -> Result<ImageRequest, String> {
        read("n1", &map(instance_info), &map(json!({})), &policy()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_usual_request() {
        let found = asked(json!({"image_source": "https://host/a/rocky%209.qcow2?x=1", "image_checksum": SHA,
            "image_disk_format": "QCOW2", "image_download_source": "local"}));
        let found = found.unwrap();
        assert_eq!((found.id.as_str(), found.disk_format.as_deref()), ("rocky%209.qcow2", Some("qcow2")));
        assert_eq!(found.download_source, DownloadSource::Local);
        let file = asked(json!({"image_source": "file:///srv/images/a.img"})).unwrap();
        assert_eq!(file.source, Source::File("/srv/images/a.img".into()));
        assert_eq!(asked(json!({"image_source": "http://host/", "image_checksum": SHA})).unwrap().id, "image");
    }

    #[test]
    fn errors_say_what_is_missing_or_wrong() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        for (instance_info, says) in [
            (json!({}), "Missing are: ['instance_info.image_source']"),
            (json!({"image_source": "http://h/i"}), "\"image_checksum\", or \"image_os_hash_algo\""),
            (json!({"image_source": "http://h/i", "image_checksum": md5}), "MD5"),
            (
                json!({"image_source": "http://h/i", "image_checksum": SHA, "image_disk_format": "vmdk"}),
                "not permitted",
            ),
            (json!({"image_source": "d1c2", "image_checksum": SHA}), "no URL"),
            (json!({"image_source": "oci://h/i", "image_checksum": SHA}), "not supported"),
            (json!({"image_source": "file://host/i"}), "absolute path"),
            (json!({"image_source": "file:///i", "image_download_source": "swift"}), "use http or local"),
        ] {
            let error = asked(instance_info.clone()).unwrap_err();
            assert!(error.contains(says), "{instance_info}: {error}");
        }
    }

    #[test]
    fn proxies_come_from_driver_info_and_are_checked() {
        let info = map(json!({"image_source": "http://h/i", "image_checksum": SHA}));
        let driver = map(json!({"image_http_proxy": "http://proxy:3128", "image_no_proxy": "h2"}));
        let found = read("n1", &info, &driver, &policy()).unwrap();
        assert_eq!(
            (found.proxies.unwrap()["http"].as_str(), found.no_proxy.as_deref()),
            ("http://proxy:3128", Some("h2"))
        );
        assert!(read("n1", &info, &map(json!({"image_https_proxy": "proxy"})), &policy()).is_err());
    }
}
