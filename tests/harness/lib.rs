//! Sites for stories.

pub mod bmc;
