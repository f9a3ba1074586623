//! IPMI over LAN, spoken by ourselves: RMCP+ (IPMI 2.0, suites 3 and 17 above all) and IPMI 1.5.
//!
//! Upwards: `pool` opens a node's `power`, `management` and `vendor` methods; they give `command`s to their `bmc`, which keeps a session
//! (`login`, `old_login`) over a `link`. The rest is pure: bytes in, facts out, nothing trusted.

mod bmc;
pub mod bridge;
pub mod command;
mod completion;
mod crypto;
mod error;
pub mod handshake;
mod info;
mod line;
mod link;
mod login;
mod management;
pub mod message;
mod old_login;
pub mod old_session;
mod options;
pub mod packet;
mod pool;
mod power;
pub mod secret;
pub mod session;
mod suite;
mod vendor;
mod window;

pub use info::{CONSOLE_PROPERTIES, IpmiInfo, PROPERTIES};
pub use options::IpmiOptions;
pub use pool::Pool;
pub use suite::Suite;
pub use vendor::STEPS as VENDOR_STEPS;
