//! What a machine can be made to do, whatever its BMC speaks: small traits that return facts.
//!
//! A driver is bound to one BMC and never sees the node record. BMC dialects stay in this room.

pub mod fake;
pub mod interface;
pub mod ipmi;
pub mod manual;
pub mod noop;
pub mod parts;
pub mod properties;
pub mod raid;
pub mod registry;
pub mod steps;
pub mod traits;
pub mod vendor;
