//! The machine: child processes, sysfs, ioctls. The only room with `unsafe`.

pub mod aligned;
pub mod apart;
pub mod block;
pub mod boot_memory;
mod boot_note;
pub mod child;
mod child_pipes;
pub mod clock;
pub mod command_log;
pub mod device_lock;
pub mod device_map;
pub mod disk_identity;
pub mod disk_list;
pub mod efivars;
pub mod file_tree;
pub mod ipmi;
pub mod kernel_log;
pub mod link;
pub mod log_ring;
#[cfg(test)]
pub mod loop_device;
pub mod loop_window;
pub mod mask;
pub mod md;
pub mod net;
pub mod nvme;
pub mod orders;
pub mod packet;
pub mod partitions;
pub mod progress;
pub mod ramdisk;
pub mod sg;
pub mod sysfs;
#[cfg(test)]
pub mod test_network;
#[cfg(test)]
pub mod test_tree;
pub mod text;
pub mod udev_db;
pub mod udev_monitor;
pub mod under_way;
pub mod vpd;
pub mod wiped_memory;
