//! The kernel and its modules, taken out of the kernel package. Modules are compressed one by one (kmod unpacks them;
//! the signature is inside and stays), for all of the unpacked ramdisk has to fit into half of 256 MiB.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use crate::modules::{Choice, ChoiceError, Index};
use crate::packages::{Package, hex};
use crate::program::{Program, ProgramError};
use crate::recipe::drivers::DRIVERS;
use crate::tree::{Node, Tree, TreeError};

/// zstd's level for one module; kmod's own decoder sets no limit.
const LEVEL: i32 = 19;
/// The indexes kmod reads; the texts they are made from stay behind.
const INDEXES: &[&str] = &[
    "modules.alias.bin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.dep.bin",
    "modules.softdep",
    "modules.symbols.bin",
];
/// What depmod reads besides the modules.
const ORDERS: &[&str] = &["modules.order", "modules.builtin", "modules.builtin.modinfo"];

/// Why the kernel package does not serve.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// It has no modules.
    #[error("{} has no modules; is this a kernel package?", .0.display())]
    Empty(PathBuf),
    /// The recipe's choice does not fit this kernel.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// Cannot happen with one kernel in one tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// depmod.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file could not be read or staged.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The kernel beside the tree.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// vmlinuz, signature included.
    pub image: Vec<u8>,
    /// The package's own time stamp, seconds since 1970: the default for every time stamp of a build.
    pub time: u32,
}

/// Takes the kernel out of its package.
///
/// # Errors
/// The package has none.
pub fn take(package: &Package) -> Result<Kernel, KernelError> {
    let modules = package.root.join("lib/modules");
    let mut releases = fs::read_dir(&modules).map_err(|source| io(&modules, source))?;
    let first = releases.next().and_then(Result::ok).ok_or(KernelError::Empty(modules))?;
    let release = first.file_name().to_string_lossy().into_owned();
    let path = package.root.join("boot").join(format!("vmlinuz-{release}"));
    let image = fs::read(&path).map_err(|source| io(&path, source))?;
    let time = fs::metadata(&path).map_err(|source| io(&path, source))?.mtime();
    Ok(Kernel { release, image, time: u32::try_from(time).unwrap_or(0) })
}

/// Adds the recipe's modules, what they need, and the indexes. `cache` keeps the compressed modules between builds.
/// Returns the modules' files.
///
/// # Errors
/// The recipe's choice does not fit this kernel, or depmod is missing.
pub fn add_modules(
    tree: &mut Tree,
    package: &Package,
    release: &str,
    cache: &Path,
) -> Result<BTreeSet<String>, KernelError> {
    let scratch = tempfile::tempdir_in(cache).map_err(|source| io(cache, source))?;
    let whole = package.root.join("lib/modules").join(release);
    let chosen = choose(package, release, &DRIVERS, scratch.path())?;
    let list: String = chosen.iter().map(|name| format!("{name}\n")).collect();
    let key = hex(&Sha256::digest(format!("{}\n{LEVEL}\n{list}", package.sha256)));
    let kept = cache.join(format!("modules-{}", &key[..32]));
    if !kept.is_dir() {
        let stage = scratch.path().join("chosen");
        tracing::info!(modules = chosen.len(), level = LEVEL, "compressing kernel modules");
        prepare(&whole, release, &chosen, &stage)?;
        match fs::rename(&stage, &kept) {
            // Another build was first; its files are the same.
            Err(_) if kept.is_dir() => {}
            done => done.map_err(|source| io(&kept, source))?,
        }
    }
    let below = kept.join("lib/modules").join(release);
    let files = chosen.iter().map(|name| compressed(name)).chain(INDEXES.iter().map(|name| (*name).to_owned()));
    for name in files {
        let data = fs::read(below.join(&name)).map_err(|source| io(&below.join(&name), source))?;
        tree.insert(&format!("lib/modules/{release}/{name}"), Node::File { mode: 0o644, data }, &package.name)?;
    }
    Ok(chosen)
}

/// The firmware files that the modules ask for, each with the names of those modules.
///
/// # Errors
/// modinfo is missing or failed.
pub fn firmware(
    package: &Package,
    release: &str,
    chosen: &BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<String>>, KernelError> {
    let whole = package.root.join("lib/modules").join(release);
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in chosen {
        let said = Program::new("modinfo", "kmod").args(["-F", "firmware"]).arg(whole.join(file)).output()?;
        let module = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
        // A driver may name a file twice, once for each card.
        let names: BTreeSet<&str> = said.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        for name in names {
            wanted.entry(name.to_owned()).or_default().push(module.clone().into_owned());
        }
    }
    Ok(wanted)
}

/// The files of a choice, closure included, below `lib/modules/RELEASE`. `scratch` is a folder for depmod.
///
/// # Errors
/// The choice does not fit this kernel, or depmod is missing.
pub fn choose(
    package: &Package,
    release: &str,
    choice: &Choice,
    scratch: &Path,
) -> Result<BTreeSet<String>, KernelError> {
    let whole = package.root.join("lib/modules").join(release);
    // depmod writes beside what it reads, and a package on the shelf is not to be written to.
    let made = scratch.join("all/lib/modules").join(release);
    fs::create_dir_all(&made).map_err(|source| io(&made, source))?;
    for name in std::iter::once("kernel").chain(ORDERS.iter().copied()) {
        symlink(whole.join(name), made.join(name)).map_err(|source| io(&made.join(name), source))?;
    }
    depmod(&scratch.join("all"), release)?;
    let text = |name: &str| {
        let path = made.join(name);
        fs::read_to_string(&path).map_err(|source| io(&path, source))
    };
    let index = Index::parse(
        &text("modules.dep")?,
        &text("modules.softdep")?,
        &text("modules.alias")?,
        &text("modules.builtin")?,
    );
    Ok(index.closure(choice)?)
}

/// Fills `stage` with the compressed modules and their indexes.
fn prepare(whole: &Path, release: &str, chosen: &BTreeSet<String>, stage: &Path) -> Result<(), KernelError> {
    let below = stage.join("lib/modules").join(release);
    for name in chosen {
        let to = below.join(compressed(name));
        let folder = to.parent().unwrap_or(&below);
        fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    }
    for name in ORDERS {
        fs::copy(whole.join(name), below.join(name)).map_err(|source| io(&whole.join(name), source))?;
    }
    let names: Vec<&String> = chosen.iter().collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let squeeze = |share: &[&String]| -> Result<(), KernelError> {
        for name in share {
            let (from, to) = (whole.join(name), below.join(compressed(name)));
            let plain = fs::read(&from).map_err(|source| io(&from, source))?;
            let small = zstd::encode_all(&plain[..], LEVEL).map_err(|source| io(&from, source))?;
            fs::write(&to, small).map_err(|source| io(&to, source))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let shares = names.chunks(names.len().div_ceil(workers).max(1));
        let running: Vec<_> = shares.map(|share| scope.spawn(move || squeeze(share))).collect();
        // A worker that panicked has printed why; the build must not go on without its modules.
        let mut joined = running.into_iter().map(|worker| worker.join());
        joined.try_for_each(|done| done.unwrap_or_else(|_| Err(KernelError::Empty(whole.to_owned()))))
    })?;
    depmod(stage, release)
}

fn compressed(name: &str) -> String {
    format!("{name}.zst")
}

/// Writes the indexes of the modules below `base/lib/modules/RELEASE`.
///
/// # Errors
/// depmod is missing or failed.
pub fn depmod(base: &Path, release: &str) -> Result<(), KernelError> {
    Program::new("depmod", "kmod").arg("-b").arg(base).arg(release).output()?;
    Ok(())
}

fn io(path: &Path, source: std::io::Error) -> KernelError {
    KernelError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{KernelError, take};
    use crate::packages::Package;

    #[test]
    fn a_kernel_package_gives_its_release_and_time() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("lib/modules/6.1.0-1-amd64")).unwrap();
        fs::create_dir_all(root.path().join("boot")).unwrap();
        let image = root.path().join("boot/vmlinuz-6.1.0-1-amd64");
        fs::write(&image, "kernel").unwrap();
        let stamp = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        fs::File::options().write(true).open(&image).unwrap().set_modified(stamp).unwrap();
        let package = |root: &std::path::Path| Package {
            name: "linux-image".into(),
            version: "1".into(),
            sha256: "00".into(),
            root: root.to_owned(),
        };
        let kernel = take(&package(root.path())).unwrap();
        assert_eq!((kernel.release.as_str(), kernel.time), ("6.1.0-1-amd64", 1_700_000_000));
        let empty = tempfile::tempdir().unwrap();
        fs::create_dir_all(empty.path().join("lib/modules")).unwrap();
        assert!(matches!(take(&package(empty.path())), Err(KernelError::Empty(_))));
    }
}
