//! What the image boots from: kernel and initramfs, and the folder that becomes its root file system.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use image::kernel;
use image::modules::Choice;
use image::packages::Package;
use image::tree::{Node, Tree};

/// Drivers for those of the lab's disks and cards that it is booted from, and for the file systems of a config drive. Plain files:
/// busybox loads them.
#[rustfmt::skip]
const DRIVERS: Choice = Choice {
    folders: &[],
    except: &[],
    names: &[
        "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "nvme", "sd_mod", "sr_mod", "ext4", "crc32c_generic", "isofs",
        "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "af_packet", "button", "evdev", "raid1",
    ],
};
const APPLETS: &[&str] = &[
    "acpid",
    "awk",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "echo",
    "false",
    "find",
    "findfs",
    "grep",
    "head",
    "hostname",
    "httpd",
    "ifconfig",
    "ip",
    "ln",
    "ls",
    "mkdir",
    "modprobe",
    "mount",
    "poweroff",
    "reboot",
    "rm",
    "sed",
    "sh",
    "sleep",
    "sort",
    "switch_root",
    "sync",
    "tail",
    "tr",
    "true",
    "udhcpc",
    "umount",
    "uname",
    "wc",
    "xargs",
];

/// Kernel and initramfs.
pub struct BootFiles {
    /// vmlinuz.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initrd: PathBuf,
}

/// Writes both into `work`.
pub fn files(packages: &[Package], work: &Path) -> Result<BootFiles, Box<dyn Error>> {
    let (package, busybox) = parts(packages)?;
    let taken = kernel::take(package)?;
    let tree = ramdisk(package, &busybox, &DRIVERS, APPLETS, include_bytes!("initrd-init.sh"), work)?;
    let (kernel, initrd) = (work.join("vmlinuz"), work.join("initrd"));
    fs::write(&kernel, &taken.image)?;
    fs::write(&initrd, zstd::encode_all(&tree.pack(Vec::new(), taken.time)?[..], 3)?)?;
    Ok(BootFiles { kernel, initrd })
}

/// A ramdisk of nothing but busybox, kernel modules and an init script.
pub fn ramdisk(
    package: &Package,
    busybox: &Path,
    drivers: &Choice,
    applets: &[&str],
    init: &[u8],
    work: &Path,
) -> Result<Tree, Box<dyn Error>> {
    let release = kernel::take(package)?.release;
    let mut tree = Tree::merged()?;
    tree.insert("bin/busybox", Node::File { mode: 0o755, data: fs::read(busybox)? }, "busybox")?;
    for applet in applets {
        tree.insert(&format!("bin/{applet}"), Node::Link { target: "busybox".to_owned() }, "lab")?;
    }
    tree.insert("init", Node::File { mode: 0o755, data: init.to_vec() }, "lab")?;
    tree.insert("dev/console", Node::Device { mode: 0o600, number: (5, 1) }, "lab")?;
    for folder in ["proc", "sys", "mnt", "run"] {
        tree.insert(folder, Node::Directory { mode: 0o755 }, "lab")?;
    }
    let whole = package.root.join("lib/modules").join(&release);
    let stage = work.join("modules");
    let below = stage.join("lib/modules").join(&release);
    let scratch = tempfile::tempdir_in(work)?;
    let names = kernel::choose(package, &release, drivers, scratch.path())?;
    for name in names.iter().map(String::as_str).chain(["modules.order", "modules.builtin", "modules.builtin.modinfo"])
    {
        fs::create_dir_all(below.join(name).parent().unwrap_or(&below))?;
        fs::copy(whole.join(name), below.join(name))?;
    }
    kernel::depmod(&stage, &release)?;
    for name in names.iter().map(String::as_str).chain(["modules.dep", "modules.alias", "modules.softdep"]) {
        let data = fs::read(below.join(name))?;
        tree.insert(&format!("lib/modules/{release}/{name}"), Node::File { mode: 0o644, data }, "kernel")?;
    }
    Ok(tree)
}

/// The folder of the root file system.
pub fn root(packages: &[Package], work: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let (_, busybox) = parts(packages)?;
    let root = work.join("root");
    for folder in ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc", "mnt", "root/.ssh", "var/lib"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/os-release"), "ID=labos\nVERSION_ID=1\nPRETTY_NAME=\"Lab OS 1\"\n")?;
    for (name, text) in [("sbin/init", include_str!("root-init.sh")), ("sbin/dhcp", include_str!("dhcp.sh"))] {
        fs::write(root.join(name), text)?;
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755))?;
    }
    Ok(root)
}

/// The kernel's package, and busybox.
pub fn parts(packages: &[Package]) -> Result<(&Package, PathBuf), Box<dyn Error>> {
    let kernel = packages.iter().find(|package| package.name.starts_with("linux-image-")).ok_or("no kernel package")?;
    let busybox = packages.iter().find(|package| package.name == "busybox-static").ok_or("no busybox package")?;
    Ok((kernel, busybox.root.join("bin/busybox")))
}
