//! The deploy ramdisk of this checkout: our `image build` with the agent that is built now. Packages and the compressed
//! base come from the lab's cache, so a build takes seconds.

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

fn folder(ironic: bool) -> PathBuf {
    workspace::target().join(if ironic { "lab/ramdisk-ironic" } else { "lab/ramdisk" })
}

/// Builds it, once for each run of the tests.
///
/// # Panics
/// When the agent is not built, or the build fails.
pub fn build() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| made(false));
}

/// The same for a real Ironic: `image build --for-ironic`.
///
/// # Panics
/// As [`build`].
pub fn build_for_ironic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| made(true));
}

fn made(ironic: bool) {
    let out = folder(ironic);
    let _lock = lock(&out.with_extension("lock"));
    let order = Order {
        out,
        agent: workspace::program("agent"),
        additions: vec![],
        cache: package_cache(),
        arguments: "console=ttyS0".to_owned(),
        firmware: vec![],
        ironic,
        time: None,
    };
    build_image(&order).unwrap_or_else(|error| panic!("building the deploy ramdisk: {error}"));
}

/// The files of the last build.
pub fn ramdisk() -> Ramdisk {
    let folder = folder(false);
    Ramdisk { kernel: folder.join("deploy.kernel"), initramfs: folder.join("deploy.initramfs") }
}

/// The files of the last build for Ironic.
pub fn for_ironic() -> Ramdisk {
    let folder = folder(true);
    Ramdisk { kernel: folder.join(NAMES[0]), initramfs: folder.join(NAMES[1]) }
}
