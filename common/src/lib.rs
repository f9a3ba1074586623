//! What crosses the wire between conductor and agent: types and declarations, no I/O; and `seats`, the rule at both their doors.
//!
//! This crate knows no runtime, client, file or clock. Both sides are held to what it declares:
//! `endpoint` names every call once; the other rooms are the bodies of those calls.
//! Wire facts come from the spec "Wire contract between conductor and deploy agent"; section numbers refer to it.
//!
//! Floors (a room may use lower floors, never its own floor or a higher one):
//! 3 `endpoint` · 2 `digest` · 1 `heartbeat`, `image_ref` · 0 `command`, `config_drive`, `erase_proof`, `inventory`, `mac`, `root_hint`,
//! `seats`, `step`, `token`, `url_text`.

pub mod command;
pub mod config_drive;
pub mod digest;
pub mod endpoint;
pub mod erase_proof;
pub mod heartbeat;
pub mod image_ref;
pub mod inventory;
pub mod mac;
pub mod root_hint;
pub mod seats;
pub mod step;
pub mod token;
pub mod url_text;
