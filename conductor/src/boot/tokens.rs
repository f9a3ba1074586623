//! The unguessable path segment of a node's boot URLs, kept on disk so that a restart does not change it.
//!
//! An agent that is downloading when the conductor restarts must find its URL again, so the segment outlives the process:
//! one small file per node, readable by this user only, gone when the node stops booting from here.

use rand::RngExt;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Characters of a segment: 32 hex digits, 128 random bits.
const LENGTH: usize = 32;

/// A node's segment. Not printed by `Debug`: who knows it may read the node's boot files.
#[derive(Clone, PartialEq, Eq)]
pub struct BootToken(String);

impl BootToken {
    fn random() -> Self {
        let bytes: [u8; LENGTH / 2] = rand::rng().random();
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn from_file(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let fits = text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(text.to_owned()))
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// For URLs given to the machine itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for BootToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BootToken(hidden)")
    }
}

/// The tokens of all nodes; on disk below a folder, or in memory only.
#[derive(Debug, Default)]
pub struct TokenShelf {
    folder: Option<PathBuf>,
    known: Mutex<HashMap<Uuid, BootToken>>,
}

impl TokenShelf {
    /// Keeps tokens below `folder`, which is made if it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: Some(folder.to_owned()), known: Mutex::default() })
    }

    /// The node's token: the one it has, else the one on disk, else a new one.
    pub fn take(&self, node: Uuid) -> io::Result<BootToken> {
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(token) = known.get(&node) {
            return Ok(token.clone());
        }
        let token = match &self.folder {
            None => BootToken::random(),
            Some(folder) => read_or_make(folder, node)?,
        };
        known.insert(node, token.clone());
        Ok(token)
    }

    /// Forgets the node's token: URLs made with it are dead for good.
    pub fn forget(&self, node: Uuid) {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&node);
        if let Some(folder) = &self.folder
            && let Err(error) = fs::remove_file(folder.join(node.to_string()))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%node, %error, "the boot token file could not be removed");
        }
    }
}

fn read_or_make(folder: &Path, node: Uuid) -> io::Result<BootToken> {
    let path = folder.join(node.to_string());
    match fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(token) = BootToken::from_file(&text) {
                return Ok(token);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let token = BootToken::random();
    // Whole or not at all: a torn file would be read as "no token" and change the URL of a running agent.
    let part = folder.join(format!("{node}.part"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(token.expose().as_bytes())?;
    file.sync_data()?;
    fs::rename(&part, &path)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_outlives_the_process_and_dies_with_the_boot() {
        let folder = tempfile::tempdir().unwrap();
        let node = Uuid::new_v4();
        let first = TokenShelf::open(folder.path()).unwrap().take(node).unwrap();
        let shelf = TokenShelf::open(folder.path()).unwrap();
        assert!(shelf.take(node).unwrap().matches(first.expose()));
        assert!(!shelf.take(Uuid::new_v4()).unwrap().matches(first.expose()));
        shelf.forget(node);
        assert!(!shelf.take(node).unwrap().matches(first.expose()));
        assert!(!format!("{first:?}").contains(first.expose()));
    }

    #[test]
    fn a_torn_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let node = Uuid::new_v4();
        fs::write(folder.path().join(node.to_string()), "abc").unwrap();
        let token = TokenShelf::open(folder.path()).unwrap().take(node).unwrap();
        assert_eq!(token.expose().len(), LENGTH);
    }
}
