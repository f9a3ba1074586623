//! A BMC of our own: RMCP+ with cipher suites 3 and 17 on a loopback port, in front of any [`Chassis`].
//!
//! Written apart from the conductor's client, so that a shared mistake shows: `ipmitool` is its judge. Faults are data.

mod answers;
mod chassis;
mod commands;
mod crypto;
mod faults;
mod handshake;
mod packet;
mod server;

pub use chassis::{Chassis, MemoryChassis};
pub use faults::Faults;
pub use server::{BmcServer, Seen};
