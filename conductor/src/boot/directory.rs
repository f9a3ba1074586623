//! What each machine boots now: node, MACs, files, kernel arguments. In memory; the flow fills it again after a restart.
//!
//! Nothing is served that is not in here, and requests only look things up: no file path is ever made from a request.

use super::kernel_args::{KernelArgs, KernelWord};
use super::tokens::{BootToken, TokenShelf};
use common::mac::Mac;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use url::Url;
use uuid::Uuid;

/// What a machine that asks is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootEntry {
    /// Kernel and ramdisk by HTTP.
    Ramdisk {
        /// File on this machine.
        kernel: PathBuf,
        /// File on this machine.
        ramdisk: PathBuf,
        /// Command line without `initrd=` and `BOOTIF=`.
        arguments: KernelArgs,
    },
    /// An instance that lives in memory: its kernel and its ramdisk.
    Instance {
        /// Where the kernel is.
        kernel: Fetched,
        /// Where the ramdisk is.
        ramdisk: Fetched,
        /// Command line without `initrd=` and `BOOTIF=`.
        arguments: KernelArgs,
    },
    /// An instance that lives in memory: an ISO.
    Iso(Fetched),
    /// Its own disk.
    LocalDisk,
}

/// Where a machine fetches a file of its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// From here: the file was given with the entry.
    Here,
    /// From another server, by this URL; the type holds nothing that could leave its place in a script.
    At(KernelWord),
}

/// One of the files a node may read: the last segment of its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootFile {
    /// The kernel.
    Kernel,
    /// The ramdisk.
    Ramdisk,
    /// The instance image.
    Image,
    /// The ISO that an instance boots from.
    Iso,
}

impl BootFile {
    /// By the segment of the URL.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Kernel, Self::Ramdisk, Self::Image, Self::Iso].into_iter().find(|file| file.name() == name)
    }

    /// The segment of the URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ramdisk => "ramdisk",
            Self::Image => "image",
            Self::Iso => "iso",
        }
    }
}

/// A file that is kept as long as somebody may still read it: dropping the last clone lets a cache evict it.
pub trait KeepFile: Send + Sync + fmt::Debug {
    /// Where it is.
    fn path(&self) -> &Path;
}

impl KeepFile for PathBuf {
    fn path(&self) -> &Path {
        self
    }
}

/// What a script needs to know of one machine.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The node.
    pub node: Uuid,
    /// The segment of its URLs.
    pub token: BootToken,
    /// What it boots.
    pub entry: BootEntry,
}

impl Boot {
    /// Path of one of its files below the HTTP server's root.
    pub fn url_path(&self, file: BootFile) -> String {
        url_path(self.node, &self.token, file)
    }
}

fn url_path(node: Uuid, token: &BootToken, file: BootFile) -> String {
    format!("boot/{node}/{}/{}", token.expose(), file.name())
}

/// Why an entry was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Two nodes cannot have the same NIC.
    #[error("the MAC address {mac} already boots node {other}; remove it from one of the two nodes")]
    MacTaken {
        /// The address.
        mac: Mac,
        /// Who has it.
        other: Uuid,
    },
    /// The token file.
    #[error("the boot token of node {node} cannot be kept in the data directory; check its space and rights")]
    Token {
        /// The node.
        node: Uuid,
        /// Why.
        source: io::Error,
    },
}

#[derive(Debug)]
struct Record {
    token: BootToken,
    macs: Vec<Mac>,
    entry: BootEntry,
    image: Option<Arc<dyn KeepFile>>,
    files: InstanceFiles,
}

/// Files of an instance that are served from here.
pub type InstanceFiles = Vec<(BootFile, Arc<dyn KeepFile>)>;

#[derive(Debug, Default)]
struct Tables {
    nodes: HashMap<Uuid, Record>,
    by_mac: HashMap<Mac, Uuid>,
}

/// The registry. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct BootDirectory {
    tables: Arc<RwLock<Tables>>,
    tokens: Arc<TokenShelf>,
}

impl BootDirectory {
    /// URLs survive a restart: their tokens are kept in `<data_dir>/boot-tokens`.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let tokens = TokenShelf::open(&data_dir.join("boot-tokens"))?;
        Ok(Self { tables: Arc::default(), tokens: Arc::new(tokens) })
    }

    /// The node's machine boots `entry` from any of `macs` from now on. Calling it again replaces both and keeps the
    /// URLs and the image.
    pub fn set(&self, node: Uuid, macs: Vec<Mac>, entry: BootEntry) -> Result<(), DirectoryError> {
        self.set_with(node, macs, entry, Vec::new())
    }

    /// As [`set`](Self::set), with the files that an instance fetches from here ([`Fetched::Here`]).
    pub fn set_with(
        &self,
        node: Uuid,
        macs: Vec<Mac>,
        entry: BootEntry,
        files: InstanceFiles,
    ) -> Result<(), DirectoryError> {
        let token = self.tokens.take(node).map_err(|source| DirectoryError::Token { node, source })?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((&mac, &other)) =
            macs.iter().find_map(|mac| tables.by_mac.get_key_value(mac).filter(|(_, other)| **other != node))
        {
            return Err(DirectoryError::MacTaken { mac, other });
        }
        let image = tables.nodes.get_mut(&node).and_then(|old| old.image.take());
        tables.by_mac.retain(|_, owner| *owner != node);
        tables.by_mac.extend(macs.iter().map(|&mac| (mac, node)));
        tables.nodes.insert(node, Record { token, macs, entry, image, files });
        Ok(())
    }

    /// The node boots nothing from here any more; its URLs are dead.
    pub fn remove(&self, node: Uuid) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.nodes.remove(&node);
        tables.by_mac.retain(|_, owner| *owner != node);
        drop(tables);
        self.tokens.forget(node);
    }

    /// Serves `file` as the node's instance image and says where, or `None` when the node is not [`set`](Self::set).
    pub fn serve_image(&self, base: &Url, node: Uuid, file: Arc<dyn KeepFile>) -> Option<Url> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let record = tables.nodes.get_mut(&node)?;
        record.image = Some(file);
        base.join(&url_path(node, &record.token, BootFile::Image)).ok()
    }

    /// What the machine with this NIC boots.
    pub fn by_mac(&self, mac: Mac) -> Option<Boot> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let node = *tables.by_mac.get(&mac)?;
        let record = tables.nodes.get(&node)?;
        Some(Boot { node, token: record.token.clone(), entry: record.entry.clone() })
    }

    /// There is a node with this NIC.
    pub fn knows(&self, mac: Mac) -> bool {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).by_mac.contains_key(&mac)
    }

    /// MACs of a node, as they were set.
    pub fn macs(&self, node: Uuid) -> Vec<Mac> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.nodes.get(&node).map(|record| record.macs.clone()).unwrap_or_default()
    }

    /// The file behind a URL. `None` for a wrong token, another node's file, or a file the node has not.
    pub fn file(&self, node: Uuid, token: &str, file: BootFile) -> Option<Arc<dyn KeepFile>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let record = tables.nodes.get(&node).filter(|record| record.token.matches(token))?;
        match (file, &record.entry) {
            (BootFile::Kernel, BootEntry::Ramdisk { kernel, .. }) => Some(Arc::new(kernel.clone())),
            (BootFile::Ramdisk, BootEntry::Ramdisk { ramdisk, .. }) => Some(Arc::new(ramdisk.clone())),
            (BootFile::Image, _) => record.image.clone(),
            (_, BootEntry::Instance { .. } | BootEntry::Iso(_)) => {
                record.files.iter().find(|(name, _)| *name == file).map(|(_, kept)| Arc::clone(kept))
            }
            (BootFile::Iso, BootEntry::Ramdisk { .. }) | (_, BootEntry::LocalDisk) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0xaa, 0, last])
    }

    fn ramdisk() -> BootEntry {
        BootEntry::Ramdisk { kernel: "/k".into(), ramdisk: "/r".into(), arguments: KernelArgs::default() }
    }

    #[test]
    fn a_node_is_found_by_each_of_its_macs_and_only_while_it_is_set() {
        let directory = BootDirectory::default();
        let node = Uuid::new_v4();
        directory.set(node, vec![mac(1), mac(2)], ramdisk()).unwrap();
        assert!(directory.knows(mac(1)) && directory.by_mac(mac(2)).unwrap().node == node);
        directory.set(node, vec![mac(2)], BootEntry::LocalDisk).unwrap();
        assert!(!directory.knows(mac(1)));
        assert_eq!(directory.by_mac(mac(2)).unwrap().entry, BootEntry::LocalDisk);
        directory.remove(node);
        assert!(directory.by_mac(mac(2)).is_none());
    }

    #[test]
    fn a_mac_belongs_to_one_node() {
        let directory = BootDirectory::default();
        let first = Uuid::new_v4();
        directory.set(first, vec![mac(1)], ramdisk()).unwrap();
        let error = directory.set(Uuid::new_v4(), vec![mac(2), mac(1)], ramdisk()).unwrap_err();
        assert!(error.to_string().contains(&first.to_string()), "{error}");
        assert!(!directory.knows(mac(2)), "a refused entry leaves nothing behind");
    }

    #[test]
    fn files_need_the_nodes_own_token_and_die_with_it() {
        let directory = BootDirectory::default();
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        directory.set(one, vec![mac(1)], ramdisk()).unwrap();
        directory.set(two, vec![mac(2)], ramdisk()).unwrap();
        let token = directory.by_mac(mac(1)).unwrap().token;
        assert_eq!(directory.file(one, token.expose(), BootFile::Kernel).unwrap().path(), Path::new("/k"));
        assert!(directory.file(two, token.expose(), BootFile::Kernel).is_none());
        assert!(directory.file(one, "", BootFile::Kernel).is_none());
        assert!(directory.file(one, token.expose(), BootFile::Image).is_none());
        directory.remove(one);
        assert!(directory.file(one, token.expose(), BootFile::Kernel).is_none());
        directory.set(one, vec![mac(1)], ramdisk()).unwrap();
        assert!(directory.file(one, token.expose(), BootFile::Kernel).is_none(), "a new boot has new URLs");
    }

    #[test]
    fn files_of_an_instance_are_served_until_it_boots_something_else() {
        let directory = BootDirectory::default();
        let node = Uuid::new_v4();
        let files: InstanceFiles = vec![(BootFile::Iso, Arc::new(PathBuf::from("/iso")))];
        directory.set_with(node, vec![mac(1)], BootEntry::Iso(Fetched::Here), files).unwrap();
        let token = directory.by_mac(mac(1)).unwrap().token;
        let file = |name| directory.file(node, token.expose(), name);
        assert_eq!(file(BootFile::Iso).unwrap().path(), Path::new("/iso"));
        assert!(file(BootFile::Kernel).is_none() && file(BootFile::Image).is_none());
        directory.set(node, vec![mac(1)], ramdisk()).unwrap();
        assert!(file(BootFile::Iso).is_none());
    }

    #[test]
    fn an_image_stays_while_the_boot_changes() {
        let directory = BootDirectory::default();
        let (node, base) = (Uuid::new_v4(), Url::parse("http://10.0.0.1:8080/").unwrap());
        assert!(directory.serve_image(&base, node, Arc::new(PathBuf::from("/i"))).is_none());
        directory.set(node, vec![mac(1)], ramdisk()).unwrap();
        let url = directory.serve_image(&base, node, Arc::new(PathBuf::from("/i"))).unwrap();
        directory.set(node, vec![mac(1)], BootEntry::LocalDisk).unwrap();
        let token = directory.by_mac(mac(1)).unwrap().token;
        assert_eq!(url.path(), format!("/boot/{node}/{}/image", token.expose()));
        assert!(directory.file(node, token.expose(), BootFile::Image).is_some());
        assert!(directory.file(node, token.expose(), BootFile::Kernel).is_none());
    }
}
