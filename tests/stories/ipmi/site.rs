//! One BMC of ours with a machine of memory behind it, and the driver that a node of it gets.

use conductor::driver::fake::FakeDelays;
use conductor::driver::ipmi::IpmiOptions;
use conductor::driver::registry::{Enabled, Registry};
use conductor::driver::traits::{Driver, DriverError, Management, Power, Target};
use conductor::model::power::{PowerState, PowerTarget};
use conductor::model::secret_map::SecretMap;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tests::bmc::{BmcServer, MemoryChassis};

/// Longer than anything a test waits for when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Options that make tests quick; behaviour is the same.
pub fn options() -> IpmiOptions {
    IpmiOptions {
        command_retry_timeout: Duration::from_secs(10),
        poll_interval: Duration::from_millis(20),
        first_wait: Duration::from_millis(200),
        cycle_settle: Duration::from_millis(500),
        ..IpmiOptions::default()
    }
}

pub fn registry(options: IpmiOptions) -> Registry {
    Registry::new(Enabled::everything(), options, FakeDelays::default()).unwrap()
}

pub fn target(node: &str, info: Value) -> Target {
    let driver_info = SecretMap::from(info.as_object().unwrap().clone());
    Target { node_uuid: node.into(), driver_info, uefi: false, stored_power: None }
}

pub fn open(registry: &Registry, target: Target) -> Driver {
    registry.open("ipmi", "ipmitool", "ipmitool", target).unwrap()
}

pub struct Site {
    pub server: BmcServer,
    pub machine: MemoryChassis,
    pub registry: Registry,
}

impl Site {
    pub async fn start() -> Site {
        Site::with(options()).await
    }

    pub async fn with(options: IpmiOptions) -> Site {
        let machine = MemoryChassis::default();
        let server = BmcServer::start(LOOPBACK, "admin", "password", Box::new(machine.clone())).await.unwrap();
        Site { server, machine, registry: registry(options) }
    }

    /// driver_info of the node.
    pub fn info(&self) -> Value {
        let (address, port) = (self.server.addr.ip().to_string(), self.server.addr.port());
        json!({"ipmi_address": address, "ipmi_port": port, "ipmi_username": "admin", "ipmi_password": "password"})
    }

    /// The node's driver, with more or other driver_info.
    pub fn driver(&self, more: Value) -> Driver {
        let mut info = self.info();
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open(&self.registry, target("7e3a", info))
    }

    pub fn power(&self) -> Arc<dyn Power> {
        self.driver(json!({})).power
    }

    pub fn management(&self, uefi: bool, more: Value) -> Arc<dyn Management> {
        let mut info = self.info();
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let target = Target { uefi, ..target("7e3a", info) };
        open(&self.registry, target).management.unwrap()
    }

    /// Data of the commands with this number that the BMC was given.
    pub fn given(&self, netfn: u8, command: u8) -> Vec<Vec<u8>> {
        let seen = self.server.seen().into_iter().filter(|seen| (seen.netfn, seen.command) == (netfn, command));
        seen.map(|seen| seen.data).collect()
    }
}

pub async fn set(power: &Arc<dyn Power>, want: PowerTarget) {
    power.set(want, PATIENCE).await.unwrap();
    assert_eq!(power.state().await.unwrap(), want.end());
}

pub async fn is(power: &Arc<dyn Power>, state: PowerState) {
    assert_eq!(power.state().await.unwrap(), state);
}

/// The text of a failure.
pub fn failure<T>(result: Result<T, DriverError>) -> String {
    match result {
        Err(DriverError::Failed(text)) => text,
        Err(other) => panic!("failed in another way: {other:?}"),
        Ok(_) => panic!("it succeeded"),
    }
}
