//! Every rule about not losing data: which disk, may it be touched, how it is erased, written, and made to boot.
//!
//! `facts` looks, `choose` decides on what was seen, `guard` lets through or refuses; only then the others act.

pub mod ata;
pub mod ata_erase;
pub mod boot_entry;
pub mod boot_mode;
pub mod boot_option;
pub mod choose;
pub mod config_drive;
#[cfg(test)]
pub(crate) mod device_model;
pub mod device_path;
pub mod erase;
pub mod error;
pub mod esp;
pub mod facts;
pub mod fat;
mod fat_names;
pub mod fat_write;
pub mod firmware;
pub mod gpt;
pub mod guard;
pub mod inject;
pub mod iso;
pub mod layout;
pub mod loader;
pub mod make_fs;
pub mod mbr;
pub mod method;
pub mod nvme;
pub mod nvram;
pub mod overwrite;
pub mod own_loader;
pub mod proof;
pub mod protect;
pub mod pstore;
pub mod raid;
pub mod scsi;
pub mod sense;
pub mod signature;
pub mod table;
pub mod verify;
pub mod volume_label;
pub mod wipe;
pub mod write;
