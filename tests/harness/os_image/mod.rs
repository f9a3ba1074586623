//! A small real operating system as a whole-disk image: GPT, GRUB for BIOS and UEFI, a Debian kernel, an ext4 root whose
//! init finds the config drive and says on the console what it found ("OS: …"). Built once, kept under the target folder
//! by the digest of everything it is made of; needs no root, loop device or mount.

pub(crate) mod boot;
mod disk;
mod other;

pub use other::{native_4k, partition};

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use image::packages::{Package, Shelf, hex};
use image::program::Program;
use sha2::{Digest, Sha256};

use crate::workspace;

/// What the image is made of besides packages. A change here is a new image.
const MADE_OF: &[&str] = &[
    include_str!("mod.rs"),
    include_str!("boot.rs"),
    include_str!("disk.rs"),
    include_str!("other.rs"),
    include_str!("initrd-init.sh"),
    include_str!("root-init.sh"),
    include_str!("dhcp.sh"),
];

/// One form of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The file.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The image in every form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsImage {
    /// Byte for byte what the disk holds.
    pub raw: Form,
    /// Compressed qcow2, as qemu-img writes it.
    pub qcow2: Form,
    /// The raw image, gzip.
    pub gzip: Form,
    /// The raw image, zstd.
    pub zstd: Form,
}

/// The cache of packages that stories and the ramdisk's build share.
pub fn package_cache() -> PathBuf {
    workspace::target().join("lab/packages")
}

/// The image, built now if it is not there yet. Several stories may ask at once.
///
/// # Panics
/// When it cannot be built.
pub fn os_image() -> OsImage {
    let shelf = Shelf::open(&package_cache()).unwrap_or_else(|error| panic!("{error}"));
    let kernel = kernel(&shelf);
    let packages = shelf.take(&[&kernel, "busybox-static"]).unwrap_or_else(|error| panic!("{error}"));
    let dir = workspace::target().join("lab/os-images").join(key(&packages));
    let lock = lock(&dir.with_extension("lock"));
    if !dir.join("os.raw.zst").exists() {
        build(&packages, &dir).unwrap_or_else(|error| panic!("building the OS image: {error}"));
    }
    drop(lock);
    let form = |name: &str| form(&dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    OsImage { raw: form("os.raw"), qcow2: form("os.qcow2"), gzip: form("os.raw.gz"), zstd: form("os.raw.zst") }
}

/// Debian's kernel for virtual servers: it has what the image is booted from (virtio, NVMe, no SATA, no card of Intel's), and it is
/// compressed with LZ4. The ordinary one is 66 MB of XZ, which an emulated processor unpacks for ten seconds at each boot.
fn kernel(shelf: &Shelf) -> String {
    shelf.resolve("linux-image-cloud-amd64", "linux-image-").unwrap_or_else(|error| panic!("{error}"))
}

fn key(packages: &[Package]) -> String {
    let mut digest = Sha256::new();
    for text in MADE_OF {
        digest.update(text.as_bytes());
    }
    for package in packages {
        digest.update(package.sha256.as_bytes());
    }
    hex(&digest.finalize())[..16].to_owned()
}

/// Waits for whoever builds the same now.
pub(crate) fn lock(path: &Path) -> File {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file
}

fn build(packages: &[Package], dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(dir)?;
    let work = tempfile::tempdir_in(dir)?;
    let raw = work.path().join("os.raw");
    let boot = boot::files(packages, work.path())?;
    let root = boot::root(packages, work.path())?;
    disk::write(&raw, &boot, &root, work.path(), 512)?;
    let qcow2 = work.path().join("os.qcow2");
    let convert = Program::new("qemu-img", "qemu-utils").args(["convert", "-f", "raw", "-O", "qcow2", "-c"]);
    convert.arg(&raw).arg(&qcow2).output()?;
    let gzip = flate2::write::GzEncoder::new(create(&work.path().join("os.raw.gz"))?, flate2::Compression::fast());
    io::copy(&mut open(&raw)?, &mut { gzip })?;
    let mut zstd = zstd::Encoder::new(create(&work.path().join("os.raw.zst"))?, 3)?;
    io::copy(&mut open(&raw)?, &mut zstd)?;
    zstd.finish()?;
    // The name that is asked for last is the one whose presence says that all are whole.
    for name in ["os.raw", "os.qcow2", "os.raw.gz", "os.raw.zst"] {
        let path = work.path().join(name);
        fs::write(dir.join(format!("{name}.sha256")), digest(&path)?)?;
        fs::rename(&path, dir.join(name))?;
    }
    Ok(())
}

fn form(path: &Path) -> io::Result<Form> {
    let sha256 = fs::read_to_string(path.with_file_name(format!("{}.sha256", name(path))))?;
    Ok(Form { path: path.to_owned(), bytes: fs::metadata(path)?.len(), sha256 })
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// SHA-256 of a file, lower-case hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut file = File::open(path)?;
    let mut bytes = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut bytes)? {
            0 => return Ok(hex(&digest.finalize())),
            count => digest.update(&bytes[..count]),
        }
    }
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path)?))
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(1 << 20, File::open(path)?))
}
