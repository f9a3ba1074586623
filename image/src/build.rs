//! One build from packages to files: `deploy.kernel`, `deploy.initramfs`, `deploy.iso`, `manifest.json`; on request a firmware
//! bundle, and the names and notes that an operator of Ironic expects.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bundle::firmware::{self, FirmwareError};
use crate::bundle::initramfs::{for_ironic, initramfs};
use crate::bundle::ironic;
use crate::bundle::iso::{IsoError, Parts, write_iso};
use crate::gather::{self, GatherError};
use crate::kernel::{self, KernelError};
use crate::manifest::{Artifact, Content, Manifest, Source};
use crate::packages::{Package, Shelf, ShelfError, hex};
use crate::recipe;
use crate::tree::{Item, Node, Tree};

/// Kernel, initramfs and ISO.
const NAMES: [&str; 3] = ["deploy.kernel", "deploy.initramfs", "deploy.iso"];
/// The firmware bundle.
const FIRMWARE: &str = "firmware.initramfs";

/// What is to be built.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where the files go.
    pub out: PathBuf,
    /// The agent's program.
    pub agent: PathBuf,
    /// Where packages and the compressed base are kept.
    pub cache: PathBuf,
    /// Folders whose files go into the ramdisk, too.
    pub additions: Vec<PathBuf>,
    /// The ISO's kernel command line.
    pub arguments: String,
    /// Folders, .deb files and packages to take firmware from.
    pub firmware: Vec<String>,
    /// The files are for Ironic: its names for them, and a note how to use them.
    pub ironic: bool,
    /// Time stamp of everything, seconds since 1970; `None` takes the kernel package's.
    pub time: Option<u32>,
}

/// Why there is no ramdisk.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A package.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The tree.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The firmware.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The ISO.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// A file.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Builds, and returns what was written to `manifest.json`.
///
/// # Errors
/// A package, a program or a file is missing; the message names it.
pub fn build(order: &Order) -> Result<Manifest, BuildError> {
    let shelf = Shelf::open(&order.cache)?;
    let real = shelf.resolve(recipe::KERNEL, recipe::KERNEL_PREFIX)?;
    let names: Vec<&str> = std::iter::once(real.as_str()).chain(recipe::PACKAGES.iter().copied()).collect();
    let mut packages = shelf.take(&names)?;
    let kernel_package = packages.remove(0);
    let kernel = kernel::take(&kernel_package)?;
    let time = order.time.unwrap_or(kernel.time);

    let scratch = tempfile::tempdir_in(&order.cache).map_err(|source| io(&order.cache, source))?;
    let mut base = gather::base(&packages)?;
    let modules = kernel::add_modules(&mut base, &kernel_package, &kernel.release, &order.cache)?;
    let mut tree = base.clone();
    gather::add_agent(&mut tree, &order.agent, &packages)?;
    for folder in &order.additions {
        gather::add_folder(&mut tree, folder, &packages)?;
    }
    let mut archive =
        initramfs(&base, &tree.beyond(&base), time, &order.cache).map_err(|source| io(&order.cache, source))?;

    fs::create_dir_all(&order.out).map_err(|source| io(&order.out, source))?;
    let made = tempfile::tempdir_in(&order.out).map_err(|source| io(&order.out, source))?;
    let [kernel_name, archive_name, iso_name] = if order.ironic { ironic::NAMES } else { NAMES };
    let mut names = vec![kernel_name, archive_name, iso_name];
    let opened = order.firmware.iter().map(|given| firmware::open(given, &shelf, scratch.path()));
    let sources = opened.collect::<Result<Vec<Package>, _>>()?;
    let mut arguments = order.arguments.clone();
    let mut list = Vec::new();
    put(&made.path().join(kernel_name), &kernel.image)?;
    if order.ironic {
        arguments = format!("{arguments} {}", ironic::ISO_WORD);
    } else {
        put(&made.path().join(archive_name), &archive)?;
    }
    if !sources.is_empty() {
        let wanted = kernel::firmware(&kernel_package, &kernel.release, &modules)?;
        let (bundle, found) = firmware::gather(&wanted, &sources)?;
        let bundle = firmware::archive(&bundle, time).map_err(|source| io(&order.cache, source))?;
        put(&made.path().join(FIRMWARE), &bundle)?;
        names.push(FIRMWARE);
        archive.extend(bundle);
        list = found;
    }
    // Ironic knows one initramfs only, and so does an ISO: those have the firmware inside.
    if order.ironic {
        archive = for_ironic(&archive, time).map_err(|source| io(&order.cache, source))?;
        put(&made.path().join(archive_name), &archive)?;
    }
    let parts = Parts { kernel: &kernel.image, initramfs: &archive, arguments: &arguments, time };
    write_iso(&parts, &packages, scratch.path(), &made.path().join(iso_name))?;
    let artifacts = names.iter().map(|name| artifact(made.path(), name)).collect::<Result<Vec<Artifact>, _>>()?;
    if order.ironic {
        let sums: Vec<_> = artifacts.iter().map(|made| (made.file.clone(), made.sha256.clone())).collect();
        put(&made.path().join(ironic::NOTE), ironic::note(&sums).as_bytes())?;
        put(&made.path().join(ironic::SUMS), ironic::sums(&sums).as_bytes())?;
        names.extend([ironic::NOTE, ironic::SUMS]);
    }
    let manifest = Manifest {
        format: Manifest::FORMAT,
        architecture: "amd64".to_owned(),
        kernel_release: kernel.release,
        source_date: time,
        artifacts,
        packages: std::iter::once(&kernel_package).chain(&packages).chain(&sources).map(source).collect(),
        contents: contents(&tree),
        firmware: list,
    };
    put(&made.path().join("manifest.json"), manifest.to_json().as_bytes())?;
    // Renamed only now: a build that fails leaves the last one whole. The manifest goes last.
    for name in names.iter().chain(&["manifest.json"]) {
        let (from, to) = (made.path().join(name), order.out.join(name));
        fs::rename(&from, &to).map_err(|source| io(&to, source))?;
    }
    Ok(manifest)
}

fn artifact(folder: &Path, name: &str) -> Result<Artifact, BuildError> {
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|source| io(&path, source))?;
    Ok(Artifact { file: name.to_owned(), bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) })
}

fn source(package: &Package) -> Source {
    Source { name: package.name.clone(), version: package.version.clone(), sha256: package.sha256.clone() }
}

fn contents(tree: &Tree) -> Vec<Content> {
    tree.items().map(|(path, item)| content(path, item)).collect()
}

fn content(path: &str, item: &Item) -> Content {
    let (kind, mode) = match &item.node {
        Node::Directory { mode } => ("folder", *mode),
        Node::File { mode, .. } => ("file", *mode),
        Node::Link { .. } => ("link", 0o777),
        Node::Device { mode, .. } => ("device", *mode),
    };
    let mut content = Content {
        path: path.to_owned(),
        kind: kind.to_owned(),
        mode: format!("{mode:o}"),
        origin: item.origin.clone(),
        bytes: None,
        sha256: None,
        target: None,
    };
    match &item.node {
        Node::File { data, .. } => {
            content.bytes = Some(data.len() as u64);
            content.sha256 = Some(hex(&Sha256::digest(data)));
        }
        Node::Link { target } => content.target = Some(target.clone()),
        Node::Directory { .. } | Node::Device { .. } => {}
    }
    content
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(|source| io(path, source))
}

fn io(path: &Path, source: io::Error) -> BuildError {
    BuildError::Io { path: path.to_owned(), source }
}
