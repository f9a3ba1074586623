//! The machine: child processes, sysfs, ioctls. The only room with `unsafe`.

pub mod aligned;
pub mod block;
pub mod child;
pub mod efivars;
#[cfg(test)]
pub mod loop_device;
pub mod nvme;
pub mod progress;
pub mod ramdisk;
pub mod sysfs;
pub mod text;
