//! The conductor: API, provision state machine, BMC drivers, network boot.
//!
//! Floors (a room may use lower floors and `common`, never its own floor or a higher one):
//! 5 `service` · 4 `api`, `clock` · 3 `flow` · 2 `claim`, `relay` · 1 `driver`, `boot`, `agent_client`, `store`, `rules` · 0 `model`, `config`, `policy`, `figures`.

pub mod agent_client;
pub mod api;
pub mod boot;
pub mod claim;
pub mod clock;
pub mod config;
pub mod driver;
pub mod figures;
pub mod flow;
pub mod model;
pub mod policy;
pub mod relay;
pub mod rules;
pub mod service;
pub mod store;
