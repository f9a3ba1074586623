//! The firmware bundle: what the ramdisk's modules ask for, out of the folders and packages that the operator names, as an
//! archive of its own. Vendors' firmware is not free, so no build has any unless it is told where to find it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::bundle::initramfs::compress;
use crate::gather::find;
use crate::manifest::Firmware;
use crate::packages::{Package, Shelf, ShelfError, hex};
use crate::program::{Program, ProgramError};
use crate::tree::{Node, Tree, TreeError};

/// Where the kernel looks; the empty one is for a folder that is itself such a folder (linux-firmware's).
const PLACES: &[&str] = &["lib/firmware/", "usr/lib/firmware/", ""];

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// A name that apt does not know, or a download that failed.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A .deb that cannot be unpacked.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A module asks for a file outside the firmware folder.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path that is not there: a package has no `/` in its name.
    #[error("{}: neither a folder nor a .deb; give one of them, or a package's name, with --firmware", .0.display())]
    Absent(PathBuf),
    /// Nothing fits.
    #[error(
        "none of the {wanted} firmware files that the ramdisk's modules ask for is in {places}; look for another package"
    )]
    Nothing {
        /// How many files are asked for.
        wanted: usize,
        /// What was searched.
        places: String,
    },
    /// A file.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Opens what was given with `--firmware`: a folder, a .deb, or the name of a package. `scratch` takes unpacked files.
///
/// # Errors
/// It is none of them.
pub fn open(given: &str, shelf: &Shelf, scratch: &Path) -> Result<Package, FirmwareError> {
    let path = Path::new(given);
    if path.is_dir() {
        let root = path.canonicalize().map_err(|source| io(path, source))?;
        return Ok(Package { name: given.to_owned(), version: String::new(), sha256: String::new(), root });
    }
    if path.is_file() {
        let bytes = fs::read(path).map_err(|source| io(path, source))?;
        let sha256 = hex(&Sha256::digest(&bytes));
        let root = scratch.join(format!("firmware-{}", &sha256[..12]));
        Program::new("dpkg-deb", "dpkg").arg("-x").arg(path).arg(&root).output()?;
        let said = |field| Program::new("dpkg-deb", "dpkg").arg("-f").arg(path).arg(field).output();
        let (name, version) = (said("Package")?.trim().to_owned(), said("Version")?.trim().to_owned());
        return Ok(Package { name, version, sha256, root });
    }
    if given.contains('/') || given.ends_with(".deb") {
        return Err(FirmwareError::Absent(path.to_owned()));
    }
    let mut taken = shelf.take(&[given])?;
    taken.pop().ok_or_else(|| FirmwareError::Absent(path.to_owned()))
}

/// Takes the files of `wanted` (each with the modules that ask for it) from the first source that has them. The list has
/// every file, those that were not found without a source.
///
/// # Errors
/// Nothing was found, or a file cannot be read.
pub fn gather(
    wanted: &BTreeMap<String, Vec<String>>,
    sources: &[Package],
) -> Result<(Tree, Vec<Firmware>), FirmwareError> {
    let mut tree = Tree::default();
    let mut list = Vec::new();
    for (file, modules) in wanted {
        let mut entry =
            Firmware { file: file.clone(), modules: modules.clone(), source: None, bytes: None, sha256: None };
        let places = PLACES.iter().map(|place| format!("{place}{file}"));
        let found = places.filter_map(|path| find(sources, &path)).find(|(_, path)| path.is_file());
        if let Some((source, path)) = found {
            let data = fs::read(&path).map_err(|source| io(&path, source))?;
            entry.source = Some(source.name.clone());
            entry.bytes = Some(data.len() as u64);
            entry.sha256 = Some(hex(&Sha256::digest(&data)));
            tree.insert(&format!("lib/firmware/{file}"), Node::File { mode: 0o644, data }, &source.name)?;
        }
        list.push(entry);
    }
    if list.iter().all(|entry| entry.source.is_none()) {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        return Err(FirmwareError::Nothing { wanted: list.len(), places: names.join(", ") });
    }
    Ok((tree, list))
}

/// The archive, to be appended to the initramfs or given as a second initrd.
///
/// # Errors
/// A name that the format does not take.
pub fn archive(tree: &Tree, time: u32) -> io::Result<Vec<u8>> {
    compress(&tree.pack(Vec::new(), time)?)
}

fn io(path: &Path, source: io::Error) -> FirmwareError {
    FirmwareError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::{FirmwareError, archive, gather, open};
    use crate::packages::{Package, Shelf};

    fn wanted() -> BTreeMap<String, Vec<String>> {
        let row = |file: &str, module: &str| (file.to_owned(), vec![module.to_owned()]);
        [row("bnx2/mips.fw", "bnx2"), row("ql2400_fw.bin", "qla2xxx"), row("rtl_nic/rtl8168.fw", "r8169")].into()
    }

    fn opened(given: &Path, scratch: &Path) -> Result<Package, FirmwareError> {
        open(given.to_str().unwrap(), &Shelf::open(scratch).unwrap(), scratch)
    }

    /// A package as Debian's are, with a link as they have them.
    fn deb(folder: &Path) -> std::path::PathBuf {
        let root = folder.join("root");
        fs::create_dir_all(root.join("lib/firmware/bnx2")).unwrap();
        fs::create_dir_all(root.join("DEBIAN")).unwrap();
        fs::write(root.join("lib/firmware/bnx2/mips-6.fw"), b"mips").unwrap();
        symlink("mips-6.fw", root.join("lib/firmware/bnx2/mips.fw")).unwrap();
        fs::write(root.join("lib/firmware/unasked.fw"), b"nobody asks for it").unwrap();
        let control =
            "Package: firmware-made\nVersion: 7-1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n";
        fs::write(root.join("DEBIAN/control"), control).unwrap();
        let file = folder.join("firmware-made_7-1_all.deb");
        let made = Command::new("dpkg-deb").arg("-b").arg(&root).arg(&file).stdout(Stdio::null()).status().unwrap();
        assert!(made.success());
        file
    }

    #[test]
    fn a_package_and_a_folder_give_what_is_asked_for_and_the_rest_is_named() {
        let (work, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let package = opened(&deb(work.path()), scratch.path()).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("firmware-made", "7-1"));
        let folder = work.path().join("linux-firmware");
        fs::create_dir_all(folder.join("rtl_nic")).unwrap();
        fs::write(folder.join("rtl_nic/rtl8168.fw"), b"rtl").unwrap();
        let sources = [package, opened(&folder, scratch.path()).unwrap()];
        let (tree, list) = gather(&wanted(), &sources).unwrap();
        let found: Vec<(&str, Option<u64>)> = list.iter().map(|entry| (entry.file.as_str(), entry.bytes)).collect();
        assert_eq!(found, [("bnx2/mips.fw", Some(4)), ("ql2400_fw.bin", None), ("rtl_nic/rtl8168.fw", Some(3))]);
        assert_eq!((&list[0].modules, list[0].source.as_deref()), (&vec!["bnx2".to_owned()], Some("firmware-made")));
        assert!(tree.has("lib/firmware/bnx2/mips.fw") && !tree.has("lib/firmware/unasked.fw"));
        let again = gather(&wanted(), &sources).unwrap().0;
        assert_eq!(archive(&tree, 7).unwrap(), archive(&again, 7).unwrap(), "the same bytes each time");
        assert_eq!(archive(&tree, 7).unwrap().len() % 4, 0, "another archive may follow, or go before");
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_to_do() {
        let work = tempfile::tempdir().unwrap();
        let error = opened(&work.path().join("none.deb"), work.path()).unwrap_err();
        assert!(error.to_string().contains("--firmware"), "{error}");
        let empty = opened(work.path(), work.path()).unwrap();
        let error = gather(&wanted(), &[empty]).unwrap_err();
        assert!(matches!(error, FirmwareError::Nothing { wanted: 3, .. }), "{error}");
        let script = work.path().join("x.deb");
        fs::write(&script, "no package").unwrap();
        assert!(matches!(opened(&script, work.path()), Err(FirmwareError::Program(_))));
    }
}
