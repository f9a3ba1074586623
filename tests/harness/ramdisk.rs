//! The deploy ramdisk of this checkout: our `image build` with the agent that is built now. Packages and the compressed
//! base come from the lab's cache, so a build takes seconds.

use std::fs;
use std::path::PathBuf;
use std::sync::Once;

use image::build::{Order, build as build_image};
use image::bundle::ironic::NAMES;

use crate::os_image::{lock, package_cache};
use crate::workspace;

/// `deploy.kernel` and `deploy.initramfs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramdisk {
    /// The kernel's file.
    pub kernel: PathBuf,
    /// The initramfs's file.
    pub initramfs: PathBuf,
}

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Our conductor.
    Plain,
    /// A real Ironic.
    Ironic,
    /// Machines whose devices want firmware.
    Firmware,
}

/// A file that a module of the ramdisk asks for, below `lib/firmware`.
pub const FIRMWARE_FILE: &str = "e100/d101m_ucode.bin";
/// What is in it: nothing of a vendor's.
pub const FIRMWARE: &str = "the firmware of a bundle";

fn folder(kind: Kind) -> PathBuf {
    let name = match kind {
        Kind::Plain => "lab/ramdisk",
        Kind::Ironic => "lab/ramdisk-ironic",
        Kind::Firmware => "lab/ramdisk-firmware",
    };
    workspace::target().join(name)
}

/// Builds it, once for each run of the tests.
///
/// # Panics
/// When the agent is not built, or the build fails.
pub fn build() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| made(Kind::Plain));
}

/// The same for a real Ironic: `image build --for-ironic`.
///
/// # Panics
/// As [`build`].
pub fn build_for_ironic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| made(Kind::Ironic));
}

/// The same with a bundle of firmware that has [`FIRMWARE_FILE`]: `image build --firmware`.
///
/// # Panics
/// As [`build`].
pub fn build_with_firmware() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let file = given_firmware().join("lib/firmware").join(FIRMWARE_FILE);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder below target");
        fs::write(file, FIRMWARE).expect("a file below target");
        made(Kind::Firmware);
    });
}

fn given_firmware() -> PathBuf {
    workspace::target().join("lab/given-firmware")
}

fn made(kind: Kind) {
    let out = folder(kind);
    let _lock = lock(&out.with_extension("lock"));
    let firmware = if kind == Kind::Firmware { vec![given_firmware().display().to_string()] } else { vec![] };
    let order = Order {
        out,
        agent: workspace::program("agent"),
        additions: vec![],
        cache: package_cache(),
        arguments: "console=ttyS0".to_owned(),
        firmware,
        ironic: kind == Kind::Ironic,
        time: None,
    };
    build_image(&order).unwrap_or_else(|error| panic!("building the deploy ramdisk: {error}"));
}

/// The files of the last build.
pub fn ramdisk() -> Ramdisk {
    let folder = folder(Kind::Plain);
    Ramdisk { kernel: folder.join("deploy.kernel"), initramfs: folder.join("deploy.initramfs") }
}

/// The files of the last build for Ironic.
pub fn for_ironic() -> Ramdisk {
    let folder = folder(Kind::Ironic);
    Ramdisk { kernel: folder.join(NAMES[0]), initramfs: folder.join(NAMES[1]) }
}

/// The files of the last build with firmware; the bundle is appended to the initramfs, into the file `joined`.
///
/// # Panics
/// When it was not built.
pub fn with_firmware(joined: PathBuf) -> Ramdisk {
    let folder = folder(Kind::Firmware);
    let both = ["deploy.initramfs", "firmware.initramfs"].map(|name| fs::read(folder.join(name)).expect("a build"));
    fs::write(&joined, both.concat()).expect("the story's folder");
    Ramdisk { kernel: folder.join("deploy.kernel"), initramfs: joined }
}
