//! The program inside the deploy ramdisk: inventory, erase, image writing, boot entries.
//!
//! Floors (a room may use lower floors and `common`, never its own floor or a higher one):
//! 4 `life`, `http`, `inventory_command` · 3 `command` · 2 `step`, `logs` · 1 `disk`, `stream`, `hardware`, `home`, `vmedia` · 0 `sys`, `config`, `tls`.

pub mod command;
pub mod config;
pub mod disk;
pub mod hardware;
pub mod home;
pub mod http;
pub mod inventory_command;
pub mod life;
pub mod logs;
pub mod step;
pub mod stream;
pub mod sys;
pub mod tls;
pub mod vmedia;

/// What this agent calls itself in heartbeats and status answers.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
