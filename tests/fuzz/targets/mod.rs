//! The functions, by where their bytes come from.

pub mod disk;
pub mod firmware;
pub mod image;
pub mod wire;
