//! Downloaded images on disk: each once, whoever asks; the longest unused ones go when space is needed.
//!
//! A file's name is made from URL **and** digest: what one tenant made us download is never given to another who asked
//! for other bytes, and knowing a digest alone gives nothing. Only verified files get their name.

use super::ImageError;
use super::checksum::Expected;
use super::fetch::Fetcher;
use crate::boot::directory::KeepFile;
use common::digest::hex;
use common::url_text::shown;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;
use url::Url;

/// A cached image; while one is held, its file is not evicted.
#[derive(Debug)]
pub struct CachedImage {
    path: PathBuf,
}

impl KeepFile for CachedImage {
    fn path(&self) -> &Path {
        &self.path
    }
}

/// One image of the cache: its users, and the lock of whoever downloads it.
#[derive(Debug, Default)]
struct Slot {
    download: tokio::sync::Mutex<()>,
    users: Mutex<Weak<CachedImage>>,
}

/// The cache.
#[derive(Debug)]
pub struct ImageCache {
    folder: PathBuf,
    max_bytes: u64,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

impl ImageCache {
    /// In this folder, with so many bytes at most (`image_cache_size`). Half downloads of the last run are removed.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)?.flatten() {
            if entry.path().extension().is_some_and(|end| end == "part") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder: folder.to_owned(), max_bytes, slots: Mutex::default() })
    }

    /// The image, from the cache or downloaded now. Several who want the same one wait for one download.
    pub async fn get(&self, fetcher: &Fetcher, url: &Url, expected: &Expected) -> Result<Arc<CachedImage>, ImageError> {
        let key = key_of(url, expected);
        let slot =
            Arc::clone(self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        let _turn = slot.download.lock().await;
        let path = self.folder.join(&key);
        // Held from here on, so that making room for others never takes the file away before its user has it.
        let image = self.hold(&slot, &path);
        if path.is_file() {
            touch(&path);
            tracing::info!(url = shown(url), "image found in the cache");
            return Ok(image);
        }
        let part = path.with_extension("part");
        let bytes = fetcher.file(url, &part, expected, |bytes| self.make_room(bytes)).await;
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                let _ = fs::remove_file(&part);
                self.forget_if_alone(&key, &slot);
                return Err(error);
            }
        };
        let placed = fs::rename(&part, &path).and_then(|()| self.make_room(0));
        placed
            .map_err(|error| ImageError::failed(format!("the image cache {} fails: {error}", self.folder.display())))?;
        tracing::info!(url = shown(url), bytes, "image downloaded and verified");
        Ok(image)
    }

    /// A failed download leaves no slot behind, unless others wait for their turn in it: two slots for one image would
    /// mean two writers of one file.
    fn forget_if_alone(&self, key: &str, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(slot) == 2 {
            slots.remove(key);
        }
    }

    fn hold(&self, slot: &Slot, path: &Path) -> Arc<CachedImage> {
        let mut users = slot.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.upgrade().unwrap_or_else(|| {
            let image = Arc::new(CachedImage { path: path.to_owned() });
            *users = Arc::downgrade(&image);
            image
        })
    }

    /// False when somebody has the image or waits for it. Nobody can begin to while this decides: the table is locked.
    fn remove_unused(&self, key: &str, path: &Path) -> io::Result<bool> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(key) {
            let users = slot.users.lock().unwrap_or_else(PoisonError::into_inner).strong_count();
            if users > 0 || Arc::strong_count(slot) > 1 {
                return Ok(false);
            }
        }
        fs::remove_file(path)?;
        slots.remove(key);
        Ok(true)
    }

    /// Removes the longest unused images until `bytes` more fit. Images in use stay: the limit is then exceeded rather
    /// than a running deployment broken.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf, String)> = Vec::new();
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let Ok(name) = entry.file_name().into_string() else { continue };
            if meta.is_file() {
                files.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), entry.path(), name));
            }
        }
        let mut total: u64 = files.iter().map(|file| file.1).sum::<u64>().saturating_add(bytes);
        files.sort();
        for (_, size, path, name) in files {
            if total <= self.max_bytes {
                break;
            }
            if !name.ends_with(".part") && self.remove_unused(&name, &path)? {
                total -= size;
                tracing::info!(file = %path.display(), size, "an unused image left the cache");
            }
        }
        if total > self.max_bytes {
            tracing::warn!(
                total,
                limit = self.max_bytes,
                "the image cache is over its limit: all its images are in use"
            );
        }
        Ok(())
    }
}

fn key_of(url: &Url, expected: &Expected) -> String {
    let mut hasher = Sha256::new();
    for part in [url.as_str(), expected.kind.name(), &expected.hex] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// The time of last use is the file's own time.
fn touch(path: &Path) {
    let touched = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::warn!(file = %path.display(), %error, "the last use of a cached image cannot be noted");
    }
}
