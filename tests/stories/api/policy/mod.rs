//! Who may do what: every call by every kind of caller, lists that must not leak, and the ways to prove who one is.

mod agents;
pub mod bearer;
mod fields;
mod leaks;
mod links;
mod live;
mod matrix;
mod oidc;
mod persona;
pub mod provider;
mod rules;
mod streams;
