//! What an agent that was restarted within one boot must still know: the token, which is handed out once, and the address
//! its certificate is for. Without it a restarted agent is refused for good and the node waits for its time-out.
//!
//! Kept in a file in memory that only root reads, and bound to the boot by the kernel's boot ID. Only in a ramdisk: elsewhere
//! the file could outlive what it belongs to.

use super::boot_note;
use super::ramdisk::root_is_ramdisk;
use common::token::Token;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

const FILE: &str = "boot-memory.json";

/// The memory of this boot.
#[derive(Serialize, Deserialize)]
pub struct BootMemory {
    boot_id: String,
    /// The token that the look-up gave.
    pub token: Token,
    /// The address that the certificate beside this file is for.
    pub address: Option<IpAddr>,
}

impl BootMemory {
    /// What an earlier agent of this boot left, if anything.
    pub fn recall(folder: &Path) -> Option<Self> {
        if root_is_ramdisk() { Self::read(folder, &boot_id()?) } else { None }
    }

    fn read(folder: &Path, boot_id: &str) -> Option<Self> {
        boot_note::read(folder, FILE).filter(|memory: &Self| memory.boot_id == boot_id && memory.token.is_usable())
    }

    /// Leaves it for a later agent of this boot; outside a ramdisk nothing is left.
    ///
    /// # Errors
    /// The file system's.
    pub fn leave(folder: &Path, token: Token, address: Option<IpAddr>) -> std::io::Result<()> {
        match boot_id() {
            Some(boot_id) if root_is_ramdisk() => Self { boot_id, token, address }.write(folder),
            _ => Ok(()),
        }
    }

    /// Removes the folder with all that is in it, overwritten first: after this boot's agent comes a tenant.
    ///
    /// # Errors
    /// The file system's. A folder that is not there is none.
    pub fn erase(folder: &Path) -> std::io::Result<()> {
        if !folder.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let length = usize::try_from(entry.metadata()?.len()).unwrap_or(0).min(1 << 20);
                fs::OpenOptions::new().write(true).open(entry.path())?.write_all(&vec![0; length])?;
            }
        }
        fs::remove_dir_all(folder)
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        boot_note::write(folder, FILE, self)
    }
}

/// The kernel's name of this boot.
pub(super) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_same_boot_remembers_and_another_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::from_random([3; 32]);
        let address = Some("192.0.2.7".parse().unwrap());
        let memory = BootMemory { boot_id: "this".into(), token: token.clone(), address };
        memory.write(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = BootMemory::read(folder.path(), "this").unwrap();
        assert!(read.token == token && read.address == address);
        assert!(BootMemory::read(folder.path(), "another").is_none());
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(BootMemory::read(folder.path(), "this").is_none());
    }

    #[test]
    fn nothing_of_it_is_left_for_a_tenant() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("agent.key"), "geheim").unwrap();
        // Another name of the same file shows what became of its contents.
        fs::hard_link(run.join("agent.key"), folder.path().join("witness")).unwrap();
        BootMemory::erase(&run).unwrap();
        assert!(!run.exists());
        assert_eq!(fs::read(folder.path().join("witness")).unwrap(), vec![0; 6]);
        BootMemory::erase(&run).unwrap();
    }

    #[test]
    fn outside_a_ramdisk_nothing_is_left_or_recalled() {
        let folder = tempfile::tempdir().unwrap();
        if !root_is_ramdisk() {
            BootMemory::leave(folder.path(), Token::from_random([3; 32]), None).unwrap();
            assert!(!folder.path().join(FILE).exists() && BootMemory::recall(folder.path()).is_none());
        }
    }
}
