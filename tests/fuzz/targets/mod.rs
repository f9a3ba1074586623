//! The functions, by where their bytes come from.

#[cfg(feature = "conductor")]
pub mod conductor;
pub mod disk;
pub mod firmware;
pub mod image;
pub mod machine;
pub mod wire;
