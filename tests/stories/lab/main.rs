//! The lab's stories: whole lives of virtual servers over the real protocols. Each runs in namespaces of its own.

mod clean;
mod deploy;
mod faults;
mod firmware;
mod multipath;
mod raid;
mod release;
mod rescue;
mod rig;
