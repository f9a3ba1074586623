//! Turns trees into the files a machine boots from: the compressed initramfs and the boot ISO.

mod fat;
pub mod firmware;
pub mod initramfs;
pub mod ironic;
pub mod iso;
