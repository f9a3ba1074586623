//! The iPXE programs that firmware asks for by name, held in memory: three small files, read once at the start.

use axum::body::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// For BIOS.
pub const BIOS: &str = "undionly.kpxe";
/// For UEFI: uses the firmware's own NIC driver.
pub const UEFI: &str = "snponly.efi";
/// For UEFI, with iPXE's NIC drivers.
pub const UEFI_DRIVERS: &str = "ipxe.efi";

/// Every name that is served.
pub const NAMES: &[&str] = &[BIOS, UEFI, UEFI_DRIVERS];

/// No iPXE program is near this size.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The programs could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// None there.
    #[error(
        "there is no {BIOS} and no {UEFI} in {0}: install the Debian package `ipxe` or correct [pxe]ipxe_bootfile_dir"
    )]
    None(PathBuf),
    /// There, but not readable, or not what it should be.
    #[error("cannot use the iPXE program {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The programs by name.
#[derive(Clone, Debug, Default)]
pub struct Programs(BTreeMap<&'static str, Bytes>);

impl Programs {
    /// Reads those of [`NAMES`] that are in `folder`.
    pub fn load(folder: &Path) -> Result<Self, ProgramsError> {
        let mut found = BTreeMap::new();
        for &name in NAMES {
            let path = folder.join(name);
            match read(&path) {
                Ok(bytes) => _ = found.insert(name, bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ProgramsError::Unreadable { path, source }),
            }
        }
        if !found.contains_key(BIOS) && !found.contains_key(UEFI) {
            return Err(ProgramsError::None(folder.to_owned()));
        }
        Ok(Self(found))
    }

    /// A program by its exact name.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        self.0.get(name).cloned()
    }

    /// For tests.
    #[cfg(test)]
    pub fn of(list: &[(&'static str, &'static [u8])]) -> Self {
        Self(list.iter().map(|&(name, bytes)| (name, Bytes::from_static(bytes))).collect())
    }
}

fn read(path: &Path) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() || bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty or larger than 8 MiB"));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_programs_says_which_package_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let error = Programs::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("package `ipxe`"), "{error}");
        std::fs::write(folder.path().join(UEFI), "MZ").unwrap();
        let programs = Programs::load(folder.path()).unwrap();
        assert_eq!(programs.get(UEFI).unwrap().as_ref(), b"MZ");
        assert!(programs.get(BIOS).is_none() && programs.get("../snponly.efi").is_none());
    }
}
