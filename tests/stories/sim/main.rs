//! Stories on sites with simulated machines: real conductor, real protocols, no disks.

mod agent;
mod clean;
mod crash;
mod crash_more;
mod crash_pieces;
mod fast_track;
mod life;
mod memory;
mod power;
mod proof;
mod requests;
mod rescue;
mod rules;
mod scale;
mod service;
