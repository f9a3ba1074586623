//! What a node is and what may happen to it: pure, no I/O.

pub mod power;
pub mod secret_map;
