//! Sites without disks: a real conductor process and hundreds of simulated machines that speak the real protocols.
//!
//! A [`SimMachine`] is a BMC (IPMI 2.0 on a loopback port), firmware that asks the conductor's boot server for its script,
//! and an agent of its own writing (look-up, heartbeats, HTTPS with a fresh certificate, commands). What goes wrong is
//! data ([`Faults`]). A [`Site`] is the process under test; it can be killed and started again.

mod agent;
mod api;
mod board;
mod door;
mod faults;
mod firmware;
mod home;
mod inventory;
mod machine;
mod node;
mod offer;
mod ports;
pub mod process;
mod site;
mod work;

pub use api::{Answer, Api};
pub use faults::{Faults, Proof};
pub use machine::SimMachine;
pub use node::Node;
pub use site::{Site, SiteBuilder};
