//! Power and management of one machine, whatever its BMC speaks: small traits that return facts.
//!
//! A driver is bound to one BMC and never sees the node record. BMC dialects stay in this room.

pub mod fake;
pub mod interface;
pub mod ipmi;
pub mod manual;
pub mod registry;
pub mod traits;
