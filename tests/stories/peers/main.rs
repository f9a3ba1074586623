//! Stories with the real counterparts: their client and SDK against our conductor, their agent under our conductor, our
//! agent under their conductor; and the same requests to both conductors.

mod browsers;
mod bus;
mod client;
mod described;
mod differential;
mod gophercloud;
mod image;
mod keystone;
mod node;
mod our_agent;
mod policy;
mod real_agent;
mod registry;
mod sdk;
