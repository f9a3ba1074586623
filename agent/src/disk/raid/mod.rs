//! Software RAID: arrays made of partitions that this agent lays out, found again, deleted, and booted from (ipa-features
//! 18). `config` and `plan` decide, `verdict` says what may go; `create` and `delete` act, and only through the gate.
//! mdadm is called by argument list; everything that can be seen is read from the kernel and the superblocks.

pub mod config;
pub mod create;
pub mod delete;
mod esp_copies;
pub mod fat_fit;
pub mod grub_copy;
mod holders;
mod mdadm;
pub mod plan;
pub mod root_volume;
pub mod start;
mod targets;
mod verdict;

pub use mdadm::assemble;
pub use verdict::ESP;
