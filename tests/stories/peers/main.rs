//! Stories with the real counterparts: their client and SDK against our conductor, their agent under our conductor, our
//! agent under their conductor; and the same requests to both conductors.

mod browsers;
mod bus;
mod client;
mod containers;
mod described;
mod differential;
mod gophercloud;
mod image;
mod keystone;
mod network_boot;
mod node;
mod on_disk;
mod our_agent;
mod our_images;
mod our_interruptions;
mod our_rig;
mod our_steps;
mod our_tenant;
mod policy;
mod real_agent;
mod registry;
mod sdk;
