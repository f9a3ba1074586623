//! What the lab needs of a machine, and the sentence when something is missing.

use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use crate::world;

/// Program or file, and its Debian package.
#[rustfmt::skip]
const LAB: &[(&str, &str)] = &[
    ("qemu-system-x86_64",   "qemu-system-x86"),
    ("qemu-img",             "qemu-utils"),
    ("ipmi_sim",             "openipmi"),
    ("ip",                   "iproute2"),
    ("unshare",              "util-linux"),
    ("mke2fs",               "e2fsprogs"),
    ("mkfs.vfat",            "dosfstools"),
    ("mcopy",                "mtools"),
    ("sgdisk",               "gdisk"),
    ("grub-mkimage",         "grub-common"),
    ("depmod",               "kmod"),
    ("xorriso",              "xorriso"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    ("/usr/lib/ipxe/undionly.kpxe",     "ipxe"),
    ("/usr/lib/grub/i386-pc/boot.img",  "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi/normal.mod", "grub-efi-amd64-bin"),
];

/// Everything the lab needs is here, or a panic that names what is not and what to do.
///
/// # Panics
/// When something is missing.
pub fn require_lab() {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    if let Err(sentence) = ANSWER.get_or_init(check) {
        panic!("{sentence}");
    }
}

fn check() -> Result<(), String> {
    let missing: Vec<String> = LAB
        .iter()
        .filter(|(what, _)| !here(what))
        .map(|(what, package)| format!("{what} (package {package})"))
        .collect();
    if !missing.is_empty() {
        return Err(format!("the lab needs {}; run `make setup` as root", missing.join(", ")));
    }
    let output = world::command("true").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "this machine does not allow namespaces of one's own ({}); run the lab as root, or allow user namespaces",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("unshare could not be run: {error}")),
    }
}

fn here(what: &str) -> bool {
    const FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    what.starts_with('/') && Path::new(what).exists()
        || FOLDERS.iter().any(|folder| Path::new(folder).join(what).is_file())
}

#[cfg(test)]
mod tests {
    use super::here;

    #[test]
    fn what_is_here_is_found_and_what_is_not_is_not() {
        assert!(here("sh") && here("/etc/passwd"));
        assert!(!here("no-such-program") && !here("/no/such/file"));
    }
}
