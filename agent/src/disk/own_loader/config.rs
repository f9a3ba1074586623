//! The `grub.cfg` on the EFI system partition: it hands over to the image's own configuration, or, when the image was made
//! without one, starts its newest kernel. Words of the image get in only if every letter is harmless.

use super::super::error::DiskError;
use super::text;
use crate::sys::file_tree::FileTree;
use std::path::Path;

/// Longest kernel command line taken over.
const MAX_LINE: usize = 1024;

/// `ID=` of os-release, fit for a folder's name; `linux` if there is none.
pub fn system_id(release: &str) -> String {
    let value = release.lines().find_map(|line| line.trim().strip_prefix("ID="));
    let id = value.unwrap_or_default().trim_matches(['"', '\'']).to_ascii_lowercase();
    let fine = !id.is_empty()
        && id.len() <= 32
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if fine && id != "boot" { id } else { "linux".into() }
}

/// The text for a root file system of this UUID.
///
/// # Errors
/// The image has neither a GRUB configuration nor a kernel, or the UUID is none.
pub fn stub(tree: &FileTree, root_uuid: &str, system: &str) -> Result<String, DiskError> {
    if root_uuid.is_empty()
        || root_uuid.len() > 64
        || !root_uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    {
        return Err(DiskError::Boot(format!("{root_uuid:?} is no UUID of a file system")));
    }
    let find = format!("search --no-floppy --fs-uuid --set=root {root_uuid}\n");
    for folder in ["boot/grub", "boot/grub2"] {
        if tree
            .read(Path::new(&format!("{folder}/grub.cfg")), 4 << 20)
            .is_ok_and(|found| found.is_some_and(|text| !text.is_empty()))
        {
            return Ok(format!("{find}set prefix=($root)/{folder}\nconfigfile $prefix/grub.cfg\n"));
        }
    }
    let Some((kernel, initrd)) = newest(&tree.names(Path::new("boot"))) else {
        return Err(DiskError::Boot(
            "the image has neither /boot/grub/grub.cfg nor /boot/grub2/grub.cfg nor a kernel in /boot, so its boot loader would find nothing to start. Use a complete image".into(),
        ));
    };
    let line = command_line(
        &text(tree, "etc/default/grub").unwrap_or_default(),
        &text(tree, "etc/kernel/cmdline").unwrap_or_default(),
    );
    let initrd = initrd.map(|initrd| format!("initrd /boot/{initrd}\n")).unwrap_or_default();
    Ok(format!(
        "set timeout=1\n{find}menuentry '{system}' {{\nlinux /boot/{kernel} root=UUID={root_uuid} ro{line}\n{initrd}}}\n"
    ))
}

/// The kernel with the highest version, and its initramfs.
pub fn newest(names: &[String]) -> Option<(String, Option<String>)> {
    let plain = |name: &&String| super::is_plain(name);
    let kernels = names.iter().filter(plain).filter(|name| name.starts_with("vmlinuz") && !name.contains("rescue"));
    let kernel = kernels.max_by_key(|name| version(name))?;
    let version = kernel.trim_start_matches("vmlinuz").trim_start_matches('-');
    let candidates = if version.is_empty() {
        vec!["initrd.img".to_string(), "initrd".into(), "initramfs.img".into()]
    } else {
        vec![format!("initrd.img-{version}"), format!("initramfs-{version}.img"), format!("initrd-{version}")]
    };
    let initrd = candidates.into_iter().find(|name| names.contains(name));
    Some((kernel.clone(), initrd))
}

/// Numbers compare as numbers: 6.10 is newer than 6.9.
fn version(name: &str) -> Vec<(String, Option<u64>)> {
    let mut parts: Vec<(String, Option<u64>)> = vec![(String::new(), None)];
    for letter in name.chars() {
        let digit = letter.to_digit(10).map(u64::from);
        match (parts.last_mut(), digit) {
            (Some((_, number)), Some(digit)) => {
                *number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit))
            }
            (Some((text, None)), None) => text.push(letter),
            _ => parts.push((letter.to_string(), None)),
        }
    }
    parts
}

/// What the image's maker wanted on the kernel line, with a space before it; without `root=`, which is ours.
pub fn command_line(defaults: &str, kernel: &str) -> String {
    let value = |name: &str| {
        let line = defaults.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_string()
    };
    let all = [value("GRUB_CMDLINE_LINUX"), value("GRUB_CMDLINE_LINUX_DEFAULT"), kernel.to_string()].join(" ");
    let harmless = |word: &&str| {
        word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.,:=/@+-".contains(&byte))
            && !word.starts_with("root=")
            && !word.starts_with("BOOT_IMAGE=")
    };
    let mut line = String::new();
    for word in all.split_whitespace().filter(harmless) {
        if line.len() + word.len() < MAX_LINE && !line.split(' ').any(|known| known == word) {
            line.push(' ');
            line.push_str(word);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{command_line, newest, system_id};

    #[test]
    fn names_and_words_of_the_image_are_checked_letter_by_letter() {
        assert_eq!(system_id("NAME=x\nID=debian\n"), "debian");
        assert_eq!(system_id("ID=\"opensuse-leap\"\n"), "opensuse-leap");
        for text in ["", "ID=", "ID=../../x", "ID=a b", "ID=boot", "ID=$(reboot)"] {
            assert_eq!(system_id(text), "linux", "{text}");
        }
        let defaults = "GRUB_CMDLINE_LINUX=\"console=ttyS0,115200n8 `reboot` a;b {x} root=/dev/sda\"\nGRUB_CMDLINE_LINUX_DEFAULT='quiet net.ifnames=0'\n";
        assert_eq!(command_line(defaults, "rw quiet $x\n"), " console=ttyS0,115200n8 quiet net.ifnames=0 rw");
        assert_eq!(command_line("", ""), "");
        assert!(command_line("", &"word1 ".repeat(10_000)).len() <= super::MAX_LINE);
    }

    #[test]
    fn the_newest_kernel_is_the_one_with_the_highest_version() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found =
            newest(&names(&["config-6.9.0", "initrd.img-6.10.2-amd64", "vmlinuz-6.10.2-amd64", "vmlinuz-6.9.0-amd64"]));
        assert_eq!(found, Some(("vmlinuz-6.10.2-amd64".into(), Some("initrd.img-6.10.2-amd64".into()))));
        let found =
            newest(&names(&["initramfs-5.14.0.el9.img", "vmlinuz-5.14.0.el9", "vmlinuz-0-rescue-abc", "vmlinuz-$(x)"]));
        assert_eq!(found, Some(("vmlinuz-5.14.0.el9".into(), Some("initramfs-5.14.0.el9.img".into()))));
        assert!(super::version("vmlinuz-6.1") > super::version("vmlinuz-6.0.1"));
        assert_eq!(newest(&names(&["vmlinuz"])), Some(("vmlinuz".into(), None)));
        assert_eq!(newest(&names(&["grub"])), None);
    }
}
