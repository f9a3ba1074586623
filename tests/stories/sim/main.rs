//! Stories on sites with simulated machines: real conductor, real protocols, no disks.

mod agent;
mod clean;
mod crash;
mod life;
mod power;
mod requests;
mod scale;
