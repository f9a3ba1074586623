//! Builds the deploy ramdisk: kernel, initramfs, boot ISO and a manifest of what is in them.
//!
//! `recipe` says what goes in, `packages` fetches it, `tree` holds it, `cpio` is the format, `bundle` makes the ISO,
//! `manifest` records digests, `build` puts them together.

// floor 0: no I/O beyond running a program
pub mod cpio;
pub mod elf;
pub mod manifest;
pub mod modules;
pub mod program;
// floor 1
pub mod packages;
pub mod recipe;
pub mod tree;
// floor 2
pub mod bundle;
pub mod gather;
pub mod kernel;
// floor 3
pub mod build;
