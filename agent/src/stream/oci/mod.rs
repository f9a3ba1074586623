//! Disk images in OCI registries: from `oci://HOST/NAME:TAG@DIGEST` to the blob that is fetched like any other file.
//!
//! OCI distribution specification 1.1 ("Pulling manifests", "Pulling blobs"), image specification 1.1 (index, manifest), and
//! the token protocol of Docker registries, which the distribution specification leaves to them.

pub mod challenge;
pub mod manifest;
pub mod reference;

use super::checksum::Expected;
use super::error::{FetchError, StreamError};
use super::fetch::Download;
use super::origin::Authorization;
use super::request::{DownloadRules, Request};
use crate::sys::progress::Progress;
use challenge::{Challenge, token};
use manifest::{Choice, read};
use reference::Reference;
use url::Url;

/// Larger manifests and token answers are refused, bytes (registries limit manifests to 4 MiB).
const MAX_DOCUMENT: u64 = 4 << 20;
/// An index may lead to an index; more is a loop.
const MAX_DEPTH: u32 = 3;

/// Why an image of a registry cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The text after `oci://`.
    #[error("`{text}` names no image of a registry: {reason}. Write oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:...")]
    Reference {
        /// Cut short.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// What the registry sent under this name.
    #[error("the manifest of {image} {problem}")]
    Manifest {
        /// Which.
        image: String,
        /// What is wrong.
        problem: String,
    },
    /// Credentials are missing, wrong, or would go where they must not.
    #[error("the registry of {image} asks for credentials, and {problem}. Check image_pull_secret of the node")]
    Login {
        /// Which.
        image: String,
        /// What is wrong.
        problem: String,
    },
}

/// A blob, ready to be fetched.
pub struct Blob {
    /// Its address, with what the registry wants to see.
    pub request: Request,
    /// By the manifest.
    pub digest: Expected,
    /// Bytes, by the manifest.
    pub size: u64,
}

/// Finds the blob behind the `oci` address `url` of `request`.
///
/// # Errors
/// [`OciError`] and those of downloads.
pub fn resolve(url: &Url, request: &Request, rules: &DownloadRules, progress: &Progress) -> Result<Blob, StreamError> {
    let reference = Reference::parse(url)?;
    progress.say(format!("asking the registry for {reference}"));
    let mut registry = Registry { reference: &reference, request, rules, progress, authorization: None };
    // What was given is shown to the registry itself; a token is asked for only when it says so.
    registry.authorization = request.authorization.as_ref().map(|given| given.rebound(&[reference.address("")]));
    let mut pin = reference.digest.clone();
    let mut name = pin.as_ref().map_or_else(|| reference.tag.clone(), reference::Digest::to_string);
    for _ in 0..MAX_DEPTH {
        let body = registry.document(&reference.address(&format!("manifests/{name}")))?;
        let problem = |problem: String| OciError::Manifest { image: reference.to_string(), problem };
        match &pin {
            Some(pin) if !pin.is_of(&body) => {
                return Err(problem(format!("does not have the digest {pin} it was asked for by")).into());
            }
            Some(_) => {}
            None => {
                tracing::warn!(image = %reference, "no digest in the address: the registry says what the tag is today")
            }
        }
        match read(&body, std::env::consts::ARCH).map_err(problem)? {
            Choice::Manifest(digest) => (name, pin) = (digest.to_string(), Some(digest)),
            Choice::Layer { digest, size } => {
                let address = reference.address(&format!("blobs/{digest}"));
                tracing::info!(image = %reference, blob = %digest, size, "image of a registry");
                let authorization = registry.authorization.take();
                let request = Request { urls: vec![address], authorization, ..request.clone() };
                return Ok(Blob { request, digest: digest.expected(), size });
            }
        }
    }
    let problem = "leads from index to index".to_owned();
    Err(OciError::Manifest { image: reference.to_string(), problem }.into())
}

struct Registry<'a> {
    reference: &'a Reference,
    request: &'a Request,
    rules: &'a DownloadRules,
    progress: &'a Progress,
    authorization: Option<Authorization>,
}

impl Registry<'_> {
    /// A small document, with one log-in if the registry wants it.
    fn document(&mut self, url: &Url) -> Result<Vec<u8>, StreamError> {
        match self.get(url, self.authorization.clone(), Some(manifest::ACCEPT)) {
            Err(StreamError::Fetch(FetchError::Status { status: 401, challenge: Some(challenge), .. })) => {
                self.log_in(&challenge)?;
                self.get(url, self.authorization.clone(), Some(manifest::ACCEPT))
            }
            result => result,
        }
    }

    fn get(
        &self,
        url: &Url,
        authorization: Option<Authorization>,
        accept: Option<&'static str>,
    ) -> Result<Vec<u8>, StreamError> {
        let request = Request { urls: vec![url.clone()], authorization, accept, ..self.request.clone() };
        Download::small(request, self.rules.clone(), MAX_DOCUMENT, self.progress)
    }

    fn log_in(&mut self, challenge: &str) -> Result<(), StreamError> {
        let image = self.reference.to_string();
        let fail = |problem: &str| OciError::Login { image: image.clone(), problem: problem.to_owned() };
        let Some(Challenge { realm, service, scope }) = Challenge::parse(challenge) else {
            return Err(fail("what was given is not accepted").into());
        };
        let mut realm = Url::parse(&realm).map_err(|_| fail("the address of its token service is no URL"))?;
        let plain = self.reference.address("").scheme() == "http";
        if realm.scheme() != "https" && !(realm.scheme() == "http" && plain) {
            return Err(fail("its token service is not reached by https").into());
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.reference.name));
        realm.query_pairs_mut().extend_pairs(service.map(|name| ("service", name))).append_pair("scope", &scope);
        let given = self.request.authorization.as_ref().filter(|given| given.is_basic());
        let given = given.map(|given| given.rebound(std::slice::from_ref(&realm)));
        let body = self.get(&realm, given, None)?;
        let token = token(&body).ok_or_else(|| fail("its token service answered without a token"))?;
        let bound = Authorization::bearer(&token, &[self.reference.address("")]);
        self.authorization = Some(bound.map_err(|problem| fail(&problem))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
