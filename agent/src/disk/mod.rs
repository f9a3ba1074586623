//! Every rule about not losing data: which disk, may it be touched, how it is erased, written, and made to boot.
//!
//! `facts` looks, `choose` decides on what was seen, `guard` lets through or refuses; only then the others act.

pub mod boot_entry;
pub mod boot_mode;
pub mod boot_option;
pub mod choose;
pub mod config_drive;
pub mod erase;
pub mod error;
pub mod esp;
pub mod facts;
pub mod fat;
pub mod gpt;
pub mod guard;
pub mod loader;
pub mod mbr;
pub mod method;
pub mod overwrite;
pub mod protect;
pub mod raid;
pub mod signature;
pub mod table;
pub mod verify;
pub mod volume_label;
pub mod wipe;
pub mod write;
