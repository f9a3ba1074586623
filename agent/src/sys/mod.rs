//! The machine: child processes, sysfs, ioctls. The only room with `unsafe`.

pub mod aligned;
pub mod block;
pub mod child;
#[cfg(test)]
pub mod loop_device;
pub mod progress;
pub mod sysfs;
pub mod text;
