//! The deploy ramdisk of this checkout: our `image build` with the agent that is built now. Packages and the compressed
//! base come from the lab's cache, so a build takes seconds.

use std::path::PathBuf;
use std::sync::Once;

use image::build::{Order, build as build_image};

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

fn folder() -> PathBuf {
    workspace::target().join("lab/ramdisk")
}

/// Builds it, once for each run of the tests.
///
/// # Panics
/// When the agent is not built, or the build fails.
pub fn build() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _lock = lock(&folder().with_extension("lock"));
        let order = Order {
            out: folder(),
            agent: workspace::program("agent"),
            additions: vec![],
            cache: package_cache(),
            arguments: "console=ttyS0".to_owned(),
            firmware: vec![],
            ironic: false,
            time: None,
        };
        build_image(&order).unwrap_or_else(|error| panic!("building the deploy ramdisk: {error}"));
    });
}

/// The files of the last build.
pub fn ramdisk() -> Ramdisk {
    Ramdisk { kernel: folder().join("deploy.kernel"), initramfs: folder().join("deploy.initramfs") }
}
