//! HTTP for people and agents: a file per resource. Handlers take a request apart, call one function of `flow` or `store`,
//! and wrap what comes back; what may happen to a node is decided below this floor. [`error`] alone picks status codes.
//!
//! The way of a request: `listen` (bytes, time limits) → `door` (guards, credentials, route, version) → `table` → a handler.

mod args;
pub mod auth;
mod body;
mod call;
mod chassis;
mod collections;
mod condition;
mod conductors;
mod discovery;
mod door;
mod drivers;
pub mod error;
mod events;
mod field;
mod guard;
mod history;
mod ident;
mod link;
pub mod listen;
mod machine_parts;
mod maintenance;
mod management;
mod network_data;
mod network_events;
mod node_create;
mod node_fields;
mod node_list;
mod node_patch;
mod node_rights;
mod nodes;
pub mod openapi;
mod page;
mod patch;
mod permit;
mod port_fields;
mod port_patch;
mod portgroup_fields;
mod portgroups;
mod ports;
mod provision;
mod provision_args;
mod python;
mod ramdisk;
mod redact;
mod resource;
mod route;
mod rows;
mod seen;
mod shards;
mod states;
mod table;
mod traits;
mod unserved;
mod vendor;
pub mod version;
mod vifs;
mod vmedia;
mod volume;
mod volume_fields;

pub use door::Site;
pub use route::rules;
