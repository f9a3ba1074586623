//! From a node's image request to the `image_info` its agent gets.

use super::ImageError;
use super::cache::ImageCache;
use super::checksum::{ChecksumSpec, Expected, find};
use super::digest;
use super::fetch::Fetcher;
use super::local_file::{LocalImage, open_below};
use super::request::{DownloadSource, ImagePolicy, ImageRequest, Source, read, source};
use crate::boot::directory::{BootDirectory, Fetched, KeepFile};
use crate::boot::ipxe::BaseUrl;
use crate::boot::kernel_args::KernelWord;
use crate::model::secret_map::SecretMap;
use common::image_ref::{DigestKind, ImageInfo};
use common::url_text::shown;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use uuid::Uuid;

/// Digests of local files that are remembered.
const REMEMBERED: usize = 256;

/// Files of this machine can only be given out by its own HTTP boot server.
const NOT_SERVING: &str = "this conductor serves no files to agents: set [boot]provisioning_address, or use an http(s) \
                           image_source with image_download_source = http";

type Remembered = HashMap<((u64, u64, u64, i64, i64), &'static str), String>;

/// Everything that turns requests into image_info.
#[derive(Debug)]
pub struct ImageService {
    policy: ImagePolicy,
    fetcher: Fetcher,
    cache: ImageCache,
    directory: BootDirectory,
    base: Option<BaseUrl>,
    /// A file that has not changed is not hashed again for every node.
    digests: Mutex<Remembered>,
}

impl ImageService {
    /// Joins the parts. `base` is [`BootServices::base`](crate::boot::services::BootServices); without boot services
    /// images can only be passed on.
    pub fn new(
        policy: ImagePolicy,
        fetcher: Fetcher,
        cache: ImageCache,
        directory: BootDirectory,
        base: Option<BaseUrl>,
    ) -> Self {
        Self { policy, fetcher, cache, directory, base, digests: Mutex::default() }
    }

    /// Checks a node's request without fetching anything, but opens a local file: for validation.
    pub fn check(
        &self,
        node: &str,
        instance_info: &SecretMap,
        driver_info: &SecretMap,
    ) -> Result<ImageRequest, ImageError> {
        let request = read(node, instance_info, driver_info, &self.policy)?;
        if self.base.is_none()
            && !matches!((&request.source, request.download_source), (Source::Http(_), DownloadSource::Http))
        {
            return Err(ImageError::invalid(NOT_SERVING));
        }
        if let Source::File(path) = &request.source {
            self.open(path)?;
        }
        Ok(request)
    }

    /// Makes the image available to the node's agent and says how. May take as long as a download; can be repeated, and
    /// must be after a restart, because the boot directory is in memory. The node must be set in the directory.
    pub async fn resolve(&self, node: Uuid, request: &ImageRequest) -> Result<ImageInfo, ImageError> {
        match (&request.source, request.download_source) {
            (Source::Http(url), DownloadSource::Http) => {
                Ok(self.info(node, request, url.to_string(), &request.checksum))
            }
            (Source::Http(url), DownloadSource::Local) => {
                let expected = match &request.checksum {
                    ChecksumSpec::Digest(expected) => expected.clone(),
                    ChecksumSpec::FileUrl(file, kind) => self.listed(file, &request.id, *kind).await?,
                    ChecksumSpec::Absent => return Err(ImageError::invalid("the image has no checksum")),
                };
                let image = self.cache.get(&self.fetcher, url, &expected).await?;
                self.serve(node, request, image, expected)
            }
            (Source::File(path), _) => {
                let image = Arc::new(self.open(path)?);
                let expected = match &request.checksum {
                    ChecksumSpec::Digest(expected) => expected.clone(),
                    ChecksumSpec::FileUrl(file, kind) => self.listed(file, &request.id, *kind).await?,
                    ChecksumSpec::Absent => {
                        let hex = self.digest(&image, DigestKind::Sha256).await?;
                        Expected { kind: DigestKind::Sha256, hex }
                    }
                };
                let found = self.digest(&image, expected.kind).await?;
                if found != expected.hex {
                    let (name, path) = (expected.kind.name(), path.display());
                    let text = format!("the {name} checksum of {path} is {found}, but {} was expected", expected.hex);
                    return Err(ImageError::failed(text));
                }
                self.serve(node, request, image, expected)
            }
        }
    }

    /// A file that an instance boots from at every start, by its reference: opened when it is here, else checked as a URL that
    /// the machine fetches itself. `what` is the key of instance_info.
    pub fn boot_file(&self, what: &str, reference: &str) -> Result<(Fetched, Option<Arc<dyn KeepFile>>), ImageError> {
        match source(what, reference)? {
            Source::File(path) if self.base.is_some() => Ok((Fetched::Here, Some(Arc::new(self.open(&path)?)))),
            Source::File(_) => Err(ImageError::invalid(NOT_SERVING)),
            Source::Http(url) => {
                let word = KernelWord::new(url.as_str());
                let word = word.map_err(|error| ImageError::invalid(format!("{what} cannot be booted: {error}")))?;
                Ok((Fetched::At(word), None))
            }
        }
    }

    fn open(&self, path: &Path) -> Result<LocalImage, ImageError> {
        open_below(path, &self.policy.allowed_folders, self.fetcher.limits().max_bytes)
    }

    /// The digest that a checksum file lists for this image.
    async fn listed(&self, file: &url::Url, name: &str, kind: Option<DigestKind>) -> Result<Expected, ImageError> {
        let text = self.fetcher.text(file).await?;
        let found = find(&text, name, kind).ok_or_else(|| {
            ImageError::failed(format!("the checksum file {} has no usable checksum for {name:?}", shown(file)))
        })?;
        if found.kind == DigestKind::Md5 && !self.policy.allow_md5 {
            let file = shown(file);
            return Err(ImageError::invalid(format!(
                "{file} lists MD5 checksums, which [agent]allow_md5_checksum forbids"
            )));
        }
        Ok(found)
    }

    async fn digest(&self, image: &Arc<LocalImage>, kind: DigestKind) -> Result<String, ImageError> {
        let key = (image.identity, kind.name());
        let remembered =
            |digests: &Mutex<Remembered>| digests.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = remembered(&self.digests) {
            return Ok(known);
        }
        let (file, deadline) = (Arc::clone(image), Instant::now() + self.fetcher.limits().deadline);
        let work = tokio::task::spawn_blocking(move || {
            // A handle of its own: the place in the file is not shared with another hasher.
            let own = std::fs::File::open(KeepFile::path(&*file))?;
            digest::of_file(&own, kind, deadline)
        });
        let hex = work
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| ImageError::failed(format!("the image file cannot be read: {error}")))?;
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= REMEMBERED {
            digests.clear();
        }
        digests.insert(key, hex.clone());
        Ok(hex)
    }

    fn serve(
        &self,
        node: Uuid,
        request: &ImageRequest,
        file: Arc<dyn KeepFile>,
        expected: Expected,
    ) -> Result<ImageInfo, ImageError> {
        let base = self.base.as_ref().ok_or_else(|| ImageError::invalid(NOT_SERVING))?;
        let url = self.directory.serve_image(base.url(), node, file).ok_or_else(|| {
            ImageError::failed(format!(
                "node {node} is not booting from here, so it cannot be given an image; prepare its boot first"
            ))
        })?;
        Ok(self.info(node, request, url.to_string(), &ChecksumSpec::Digest(expected)))
    }

    fn info(&self, node: Uuid, request: &ImageRequest, url: String, checksum: &ChecksumSpec) -> ImageInfo {
        let (mut plain, mut algo, mut value) = (None, None, None);
        match checksum {
            ChecksumSpec::Digest(expected) => {
                (algo, value) = (Some(expected.kind.name().to_owned()), Some(expected.hex.clone()));
            }
            ChecksumSpec::FileUrl(file, Some(kind)) => {
                (algo, value) = (Some(kind.name().to_owned()), Some(file.to_string()));
            }
            ChecksumSpec::FileUrl(file, None) => plain = Some(file.to_string()),
            ChecksumSpec::Absent => {}
        }
        ImageInfo {
            id: request.id.clone(),
            urls: vec![url],
            disk_format: request.disk_format.clone(),
            container_format: request.container_format.clone(),
            stream_raw_images: self.policy.stream_raw,
            checksum: plain,
            os_hash_algo: algo,
            os_hash_value: value,
            image_request_authorization: None,
            image_server_auth_strategy: None,
            image_server_user: None,
            image_server_password: None,
            proxies: request.proxies.clone(),
            no_proxy: request.proxies.as_ref().and(request.no_proxy.clone()),
            node_uuid: Some(node.to_string()),
            configdrive: None,
            image_type: None,
            other: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests;
