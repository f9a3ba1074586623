//! What machines boot from: iPXE scripts, kernel and ramdisk to serve, addresses to hand out, images and config drives.
//!
//! This room knows nothing of nodes' records, claims or flows: the caller gives it facts (UUID, MACs, file paths, texts)
//! and asks for facts back (URLs, image_info). [`services::spawn`] starts everything that listens.

pub mod append_params;
pub mod config;
pub mod config_drive;
pub mod dhcp;
pub mod directory;
pub mod error;
pub mod http;
pub mod images;
pub mod ipxe;
pub mod iso9660;
pub mod kernel_args;
pub mod port_owner;
pub mod programs;
pub mod router_advert;
pub mod services;
pub mod tftp;
pub mod tokens;
