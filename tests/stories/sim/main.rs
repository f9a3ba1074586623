//! Stories on sites with simulated machines: real conductor, real protocols, no disks.

mod crash;
mod life;
