//! IPMI against three counterparts: our own BMC side, OpenIPMI's `ipmi_sim`, and `ipmitool` against our BMC side.

#[path = "ipmi/boot.rs"]
mod boot;
#[path = "ipmi/faults.rs"]
mod faults;
#[path = "ipmi/ipmitool.rs"]
mod ipmitool;
#[path = "ipmi/login.rs"]
mod login;
#[path = "ipmi/power.rs"]
mod power;
#[path = "ipmi/sim.rs"]
mod sim;
#[path = "ipmi/site.rs"]
mod site;
#[path = "ipmi/vendor.rs"]
mod vendor;
