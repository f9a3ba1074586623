//! Who may do what: roles, scopes, owners and lessees, as Ironic's secure RBAC has them. Pure: nothing here reads or waits.
//!
//! [`rules`] is the table (printed in `docs/policy.md`), [`check`] what its words mean, [`caller`] who asks, [`visible`]
//! what a list may show. The API asks; no handler decides for itself.

pub mod caller;
pub mod check;
pub mod print;
pub mod rules;
pub mod visible;

pub use caller::{Caller, Credentials, Roles};
pub use check::{Target, may};
pub use visible::Visible;
