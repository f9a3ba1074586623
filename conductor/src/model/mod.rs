//! What a node is and what may happen to it: pure, no I/O.

pub mod allocation;
pub mod budget;
pub mod capabilities;
pub mod chassis;
pub mod deploy_template;
pub mod event;
pub mod flow_note;
pub mod fsm;
pub mod history;
pub mod machine_parts;
pub(crate) mod named;
pub mod node;
pub mod notice;
pub mod partitions;
pub mod plan;
pub mod port;
pub mod port_group;
pub mod power;
pub mod record;
pub mod runbook;
pub mod secret_map;
pub mod sha_crypt;
pub mod step_check;
pub mod step_list;
pub mod steps;
pub mod volume;
