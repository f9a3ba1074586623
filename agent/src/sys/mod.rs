//! The machine: child processes, sysfs, ioctls. The only room with `unsafe`.

pub mod progress;
