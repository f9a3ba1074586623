//! Turns trees into the files a machine boots from: the compressed initramfs and the boot ISO.

mod fat;
pub mod initramfs;
pub mod iso;
