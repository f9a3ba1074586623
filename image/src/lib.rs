//! Builds the deploy ramdisk: kernel, initramfs, boot ISO and a manifest of what is in them.
//!
//! `recipe` says what goes in, `packages` fetches it, `gather` and `kernel` look it up and follow what it needs, `tree`
//! holds it, `cpio` is the format, `bundle` makes initramfs and ISO, `manifest` records digests, `build` does it in turn.
//!
//! Floors (a room uses lower floors, never its own floor or a higher one): 4 `build` · 3 `bundle` · 2 `gather`,
//! `kernel` · 1 `packages`, `recipe`, `tree` · 0 `cpio`, `elf`, `manifest`, `modules`, `program`.

pub mod build;
pub mod bundle;
pub mod cpio;
pub mod elf;
pub mod gather;
pub mod kernel;
pub mod manifest;
pub mod modules;
pub mod packages;
pub mod program;
pub mod recipe;
pub mod tree;
