//! Where the partitions of a partition image go: decided without touching anything (ipa-features 21).

use super::boot_mode::BootMode;
use super::gpt::{Gpt, GptError};
use super::mbr::Row;
use super::table::{Kind, Part};
use std::fmt;

const MIB: u64 = 1 << 20;
/// Bytes of the entries in the spare GPT at the end; its header follows.
const GPT_ENTRIES: u64 = 128 * 128;
/// An MBR counts sectors in 32 bits.
const MBR_SECTORS: u64 = 1 << 32;

/// What a partition is for; the text is its key in the answer to `get_partition_uuids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Firmware's.
    Esp,
    /// GRUB's.
    BiosBoot,
    /// The tenant's scratch space.
    Ephemeral,
    /// Swap space.
    Swap,
    /// The config drive.
    ConfigDrive,
    /// The image.
    Root,
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Esp => "efi system partition",
            Self::BiosBoot => "BIOS Boot partition",
            Self::Ephemeral => "ephemeral",
            Self::Swap => "swap",
            Self::ConfigDrive => "configdrive",
            Self::Root => "root",
        })
    }
}

/// What is asked for. Sizes in MiB; 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How the machine boots.
    pub mode: BootMode,
    /// The table.
    pub table: Kind,
    /// Of the EFI system partition, if the machine boots by UEFI.
    pub esp: u64,
    /// Of the place for GRUB's core on a GPT, if it boots by BIOS.
    pub bios_boot: u64,
    /// Of the root file system's partition.
    pub root: u64,
    /// Of the swap space.
    pub swap: u64,
    /// Of the scratch space.
    pub ephemeral: u64,
    /// Of the config drive.
    pub config_drive: u64,
}

/// One partition; its number is its place in the list, from 1. Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What for.
    pub role: Role,
    /// Byte offset.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// All of them, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The table.
    pub table: Kind,
    /// In their order on the disk.
    pub parts: Vec<Planned>,
}

/// Why there is no layout.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Nothing for the image.
    #[error("root_mb is 0: a partition image needs a root partition. Set the instance's root_gb")]
    NoRoot,
    /// More than the disk has.
    #[error(
        "the partitions need {need} MiB and the disk has only {have}. Choose a smaller root_gb, ephemeral_gb or swap_mb"
    )]
    TooLarge {
        /// MiB.
        need: u64,
        /// MiB.
        have: u64,
    },
    /// More primaries than an MBR has.
    #[error("{0} partitions do not fit in an MBR, which holds 4. Use a GPT: capability disk_label:gpt")]
    Primaries(usize),
    /// The old table is another one.
    #[error(
        "preserve_ephemeral was asked for, but the disk's partitions are not those of this deployment: {0}. Nothing was \
         written. Rebuild with the same sizes, or without preserve_ephemeral if its content may be lost"
    )]
    OtherTable(String),
}

/// Lays the partitions out, at multiples of 1 MiB, for a disk of `size` bytes.
///
/// # Errors
/// [`LayoutError`].
pub fn plan(wish: &Wish, size: u64, sector: u64) -> Result<Layout, LayoutError> {
    if wish.root == 0 {
        return Err(LayoutError::NoRoot);
    }
    let sizes = [
        (Role::Esp, if wish.mode == BootMode::Uefi { wish.esp } else { 0 }),
        (Role::BiosBoot, if wish.mode == BootMode::Bios && wish.table == Kind::Gpt { wish.bios_boot } else { 0 }),
        (Role::Ephemeral, wish.ephemeral),
        (Role::Swap, wish.swap),
        (Role::ConfigDrive, wish.config_drive),
        // The last: cloud-init grows it to the end of the disk.
        (Role::Root, wish.root),
    ];
    let spare = if wish.table == Kind::Gpt { GPT_ENTRIES.next_multiple_of(sector) + sector } else { 0 };
    let mut end = size.saturating_sub(spare);
    if wish.table == Kind::Msdos {
        end = end.min(MBR_SECTORS * sector);
    }
    let mut at: u64 = 1;
    let mut parts = Vec::new();
    for (role, mib) in sizes.into_iter().filter(|(_, mib)| *mib > 0) {
        let next = at.checked_add(mib).filter(|next| *next <= u64::MAX / MIB);
        let next = next.ok_or(LayoutError::TooLarge { need: u64::MAX / MIB, have: size / MIB })?;
        parts.push(Planned { role, start: at * MIB, length: mib * MIB });
        at = next;
    }
    if at * MIB > end {
        return Err(LayoutError::TooLarge { need: at, have: end / MIB });
    }
    if wish.table == Kind::Msdos && parts.len() > 4 {
        return Err(LayoutError::Primaries(parts.len()));
    }
    Ok(Layout { table: wish.table, parts })
}

impl Layout {
    /// The partition for `role` with its number.
    pub fn find(&self, role: Role) -> Option<(u32, Planned)> {
        (1..).zip(&self.parts).find(|(_, part)| part.role == role).map(|(number, part)| (number, *part))
    }

    /// Is this the table that is on the disk? Number, start and length of every partition must be the same.
    ///
    /// # Errors
    /// [`LayoutError::OtherTable`] names the first difference.
    pub fn check(&self, kind: Option<Kind>, found: &[Part]) -> Result<(), LayoutError> {
        let other = |text: String| Err(LayoutError::OtherTable(text));
        if kind != Some(self.table) {
            return other(format!("its table is {kind:?} and not {:?}", self.table));
        }
        if found.len() != self.parts.len() {
            return other(format!("it has {} partitions and not {}", found.len(), self.parts.len()));
        }
        for ((number, wanted), found) in (1..).zip(&self.parts).zip(found) {
            if (found.number, found.start, found.length) != (number, wanted.start, wanted.length) {
                return other(format!(
                    "partition {number} ({}) should begin at byte {} and have {} bytes; partition {} begins at {} and has {}",
                    wanted.role, wanted.start, wanted.length, found.number, found.start, found.length
                ));
            }
        }
        Ok(())
    }

    /// The table for a disk of `size` bytes, not written yet.
    ///
    /// # Errors
    /// [`GptError::NoRoom`]; not for a layout planned for this disk.
    pub fn gpt(&self, size: u64, sector: u64) -> Result<Gpt, GptError> {
        let id = || uuid::Uuid::new_v4().to_bytes_le();
        let mut table = Gpt::fresh(size, sector, id())?;
        for part in &self.parts {
            let name = if part.role == Role::ConfigDrive { "config-2" } else { "primary" };
            table.add_at((part.start, part.length), gpt_type(part.role), id(), name)?;
        }
        Ok(table)
    }

    /// The rows of an MBR; `Layout` fits in one.
    pub fn mbr_rows(&self, sector: u64) -> Vec<Row> {
        let number = |bytes: u64| u32::try_from(bytes / sector).unwrap_or(u32::MAX);
        let row = |part: &Planned| Row {
            bootable: part.role == Role::Root,
            kind: if part.role == Role::Swap { 0x82 } else { 0x83 },
            start: number(part.start),
            length: number(part.length),
        };
        self.parts.iter().map(row).collect()
    }
}

/// Partition types as stored: EFI system, BIOS boot, Linux swap, Linux file system.
fn gpt_type(role: Role) -> [u8; 16] {
    let text = match role {
        Role::Esp => uuid::uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
        Role::BiosBoot => uuid::uuid!("21686148-6449-6e6f-744e-656564454649"),
        Role::Swap => uuid::uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
        Role::Ephemeral | Role::ConfigDrive | Role::Root => uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"),
    };
    text.to_bytes_le()
}

#[cfg(test)]
mod tests;
