//! The shelf of Debian packages a build takes from: which version is current, fetched once, checked against the digest
//! apt knows from the signed lists, unpacked once. Needs no root and installs nothing.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::program::{Program, ProgramError};

/// Why a package is not on the shelf.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// apt does not know it.
    #[error(
        "apt does not know the package `{name}`; run `apt-get update` as root (on Debian 12, with main enabled; most firmware is in non-free-firmware)"
    )]
    Unknown {
        /// The package.
        name: String,
        /// What apt said.
        source: ProgramError,
    },
    /// apt's answer was not understood.
    #[error("apt answered something unexpected about `{name}`: {answer}")]
    Answer {
        /// The package.
        name: String,
        /// The line.
        answer: String,
    },
    /// The download is not the file the signed list describes.
    #[error("the download of `{name}` has digest {found}, apt's list says {expected}; try again")]
    Digest {
        /// The package.
        name: String,
        /// From the list.
        expected: String,
        /// From the bytes.
        found: String,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The cache cannot be used.
    #[error("the cache {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// One package, unpacked.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name: `busybox-static`.
    pub name: String,
    /// Its version, epoch included.
    pub version: String,
    /// SHA-256 of the .deb, as apt's signed list has it.
    pub sha256: String,
    /// Its files, as they would lie below `/`.
    pub root: PathBuf,
}

/// The folder packages are kept in between builds.
pub struct Shelf {
    cache: PathBuf,
}

impl Shelf {
    /// Uses (and makes) the folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(cache: &Path) -> Result<Self, ShelfError> {
        fs::create_dir_all(cache).map_err(|source| io(cache, source))?;
        let cache = cache.canonicalize().map_err(|source| io(cache, source))?;
        Ok(Shelf { cache })
    }

    /// The package a meta-package stands for now: `linux-image-amd64` gives `linux-image-6.1.0-56-amd64`.
    ///
    /// # Errors
    /// apt does not know it, or it depends on nothing with that beginning.
    pub fn resolve(&self, meta: &str, prefix: &str) -> Result<String, ShelfError> {
        let shown = Program::new("apt-cache", "apt").args(["show", "--no-all-versions", meta]).output();
        let shown = shown.map_err(|source| ShelfError::Unknown { name: meta.to_owned(), source })?;
        let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
        let names = depends.split([',', '|']).filter_map(|item| item.split_whitespace().next());
        let found = names.into_iter().find(|name| name.starts_with(prefix));
        found.map(str::to_owned).ok_or_else(|| ShelfError::Answer { name: meta.to_owned(), answer: depends.to_owned() })
    }

    /// The packages, fetched and unpacked, in the order asked for.
    ///
    /// # Errors
    /// apt does not know one, the network failed, or a digest does not fit.
    pub fn take(&self, names: &[&str]) -> Result<Vec<Package>, ShelfError> {
        let answer = self.apt(&["--print-uris"], names, &self.cache);
        let answer = answer.map_err(|source| ShelfError::Unknown { name: names.join(" "), source })?;
        let offers: Vec<Offer> = answer.lines().filter_map(Offer::parse).collect();
        let offer = |name: &&str| {
            let unknown = || ShelfError::Answer { name: (*name).to_owned(), answer: answer.clone() };
            offers.iter().find(|offer| offer.name == *name).ok_or_else(unknown)
        };
        let wanted = names.iter().map(offer).collect::<Result<Vec<&Offer>, ShelfError>>()?;
        let missing: Vec<&Offer> = wanted.iter().filter(|offer| !self.root(offer).is_dir()).copied().collect();
        if !missing.is_empty() {
            self.fetch(&missing)?;
        }
        Ok(wanted.into_iter().map(|offer| offer.package(self.root(offer))).collect())
    }

    fn root(&self, offer: &Offer) -> PathBuf {
        self.cache.join(format!("{}_{}_{}", offer.name, offer.version.replace(':', "%"), &offer.sha256[..12]))
    }

    fn fetch(&self, offers: &[&Offer]) -> Result<(), ShelfError> {
        let at = tempfile::tempdir_in(&self.cache).map_err(|source| io(&self.cache, source))?;
        let exact: Vec<String> = offers.iter().map(|offer| format!("{}={}", offer.name, offer.version)).collect();
        let exact: Vec<&str> = exact.iter().map(String::as_str).collect();
        tracing::info!(packages = %exact.join(" "), "downloading");
        self.apt(&[], &exact, at.path())?;
        for offer in offers {
            let file = at.path().join(&offer.file);
            let bytes = fs::read(&file).map_err(|source| io(&file, source))?;
            let found = hex(&Sha256::digest(&bytes));
            if found != offer.sha256 {
                return Err(ShelfError::Digest { name: offer.name.clone(), expected: offer.sha256.clone(), found });
            }
            let unpacked = at.path().join(format!("{}.root", offer.name));
            Program::new("dpkg-deb", "dpkg").arg("-x").arg(&file).arg(&unpacked).output()?;
            let root = self.root(offer);
            match fs::rename(&unpacked, &root) {
                // Another build was first; its files are the same.
                Err(_) if root.is_dir() => {}
                done => done.map_err(|source| io(&root, source))?,
            }
        }
        Ok(())
    }

    /// `Sandbox::User=root` keeps apt from changing to a user of its own, who could not write to a private folder.
    fn apt(&self, flags: &[&str], names: &[&str], at: &Path) -> Result<String, ProgramError> {
        let apt = Program::new("apt-get", "apt").args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
        apt.args(flags).args(names).within(at).output()
    }
}

/// One line of `apt-get download --print-uris`: `'http://…' FILE SIZE SHA256:…`.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    name: String,
    version: String,
    file: String,
    sha256: String,
}

impl Offer {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix('\'')?.split_once("' ")?.1.split_whitespace();
        let (file, _size, digest) = (words.next()?, words.next()?, words.next()?);
        let sha256 = digest.strip_prefix("SHA256:")?;
        let mut parts = file.strip_suffix(".deb")?.split('_');
        let (name, version) = (parts.next()?, parts.next()?.replace("%3a", ":"));
        let fine = !file.contains('/') && sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        fine.then(|| Offer { name: name.to_owned(), version, file: file.to_owned(), sha256: sha256.to_owned() })
    }

    fn package(&self, root: PathBuf) -> Package {
        Package { name: self.name.clone(), version: self.version.clone(), sha256: self.sha256.clone(), root }
    }
}

/// Lower-case hexadecimal, as every digest is written here.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn io(path: &Path, source: std::io::Error) -> ShelfError {
    ShelfError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{Offer, hex};

    #[test]
    fn an_offer_of_apt_is_read() {
        let line = format!(
            "'http://deb.example.org/pool/b/busybox-static_1.35.0-4%2bb1_amd64.deb' \
             busybox-static_1%3a1.35.0-4+b1_amd64.deb 928188 SHA256:{}",
            "3d".repeat(32)
        );
        let offer = Offer::parse(&line).unwrap();
        assert_eq!((offer.name.as_str(), offer.version.as_str()), ("busybox-static", "1:1.35.0-4+b1"));
        assert_eq!(offer.sha256, "3d".repeat(32));
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in
            ["", "Reading package lists...", "'x' ../../evil_1_amd64.deb 1 SHA256:00", "'x' a_1_amd64.deb 5 MD5Sum:0"]
        {
            assert_eq!(Offer::parse(line), None, "{line}");
        }
    }

    #[test]
    fn digests_are_lower_case() {
        assert_eq!(hex(&[0, 171, 255]), "00abff");
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".{0,200}") {
            let _ = Offer::parse(&line);
        }
    }
}
