//! The machine: child processes, sysfs, ioctls. The only room with `unsafe`.

pub mod aligned;
pub mod block;
#[cfg(test)]
pub mod loop_device;
pub mod progress;
