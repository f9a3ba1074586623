//! The inventory of captured and hostile machines, of this one, and against the reference's JSON.

mod disks;
mod machine;
mod reference;
pub mod tables;
