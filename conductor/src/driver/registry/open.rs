//! The one place that opens drivers: from the name of an interface to what does its work.

use super::Registry;
use crate::driver::fake::{FakeManagement, FakeParts, FakePower, FakeSteps, FakeVendor};
use crate::driver::interface::is_built;
use crate::driver::ipmi::{IpmiInfo, VENDOR_STEPS};
use crate::driver::manual::ManualPower;
use crate::driver::noop::NoopManagement;
use crate::driver::parts::Parts;
use crate::driver::raid;
use crate::driver::steps::{StepFlow, StepRow, Steps};
use crate::driver::traits::{Driver, DriverError, Management, Power, Target};
use crate::driver::vendor::{Vendor, VendorMethod};
use crate::model::node::InterfaceKind;
use common::step::Step;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Registry {
    /// Opens power and management of a node. Nothing is sent yet.
    ///
    /// # Errors
    /// driver_info; an interface that may not be used; power whose driver is not built.
    pub fn open(
        &self,
        hardware_type: &str,
        power_interface: &str,
        management_interface: &str,
        target: Target,
    ) -> Result<Driver, DriverError> {
        Ok(Driver {
            power: self.power(hardware_type, power_interface, &target)?,
            management: match self.management(hardware_type, management_interface, &target) {
                Err(DriverError::Unsupported(_)) => None,
                other => Some(other?),
            },
        })
    }

    /// Opens power alone.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn power(&self, hardware: &str, interface: &str, target: &Target) -> Result<Arc<dyn Power>, DriverError> {
        self.check_interface(hardware, InterfaceKind::Power, interface)?;
        Ok(match interface {
            "ipmitool" => self.ipmi.open(target)?.0,
            "fake" => Arc::new(FakePower::new(target, self.delays.of(InterfaceKind::Power))),
            "agent" => Arc::new(ManualPower::new(target)),
            _ => return Err(DriverError::unsupported(hardware, "power")),
        })
    }

    /// Opens management alone.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn management(
        &self,
        hardware: &str,
        interface: &str,
        target: &Target,
    ) -> Result<Arc<dyn Management>, DriverError> {
        self.check_interface(hardware, InterfaceKind::Management, interface)?;
        Ok(match interface {
            "ipmitool" => self.ipmi.open(target)?.1,
            "fake" => Arc::new(FakeManagement::new(self.delays.of(InterfaceKind::Management))),
            "noop" => Arc::new(NoopManagement),
            _ => return Err(DriverError::unsupported(hardware, "management")),
        })
    }

    /// Opens the vendor methods of a node; `None`: it has none (`no-vendor`, or a driver that is not built).
    ///
    /// # Errors
    /// An interface that may not be used; driver_info.
    pub fn vendor(
        &self,
        hardware: &str,
        interface: &str,
        target: &Target,
    ) -> Result<Option<Arc<dyn Vendor>>, DriverError> {
        self.check_interface(hardware, InterfaceKind::Vendor, interface)?;
        let delay = self.delays.of(InterfaceKind::Vendor);
        Ok(match interface {
            "fake" => Some(Arc::new(FakeVendor::new(&target.node_uuid, delay))),
            "ipmitool" => Some(self.ipmi.vendor(target)?),
            _ => None,
        })
    }

    /// Vendor methods of a hardware type as a whole: those of its default vendor interface. No interface has any, in Ironic
    /// as here; the calls exist and say so.
    ///
    /// # Errors
    /// Unknown type, no default.
    pub fn driver_methods(&self, hardware: &str) -> Result<&'static [VendorMethod], DriverError> {
        self.default_interface(hardware, InterfaceKind::Vendor).map(|_| [].as_slice())
    }

    /// What reads the firmware of a node; `None`: this interface reads nothing, or its driver is not built.
    pub fn parts(&self, kind: InterfaceKind, interface: &str) -> Option<Arc<dyn Parts>> {
        match (kind, interface) {
            (InterfaceKind::Bios | InterfaceKind::Firmware, "fake") => Some(Arc::new(FakeParts(self.delays.of(kind)))),
            _ => None,
        }
    }

    /// The steps that an interface of a node runs from here. Which of them a flow takes is the flow's to decide.
    pub fn steps(&self, kind: InterfaceKind, interface: &str) -> &'static [StepRow] {
        match (kind, interface) {
            (_, "fake") | (InterfaceKind::Deploy, "noop") => FakeSteps::table(kind),
            (InterfaceKind::Vendor, "ipmitool") => VENDOR_STEPS,
            _ => &[],
        }
    }

    /// All steps of a node's interfaces for one flow, as lists keep them.
    pub fn offered(&self, interfaces: &BTreeMap<InterfaceKind, String>, flow: StepFlow) -> Vec<Step> {
        let of = |(kind, name): (&InterfaceKind, &String)| {
            self.steps(*kind, name).iter().filter(|row| row.flow == flow).map(|row| row.step(*kind)).collect::<Vec<_>>()
        };
        interfaces.iter().flat_map(of).collect()
    }

    /// What runs the steps of [`Registry::steps`].
    ///
    /// # Errors
    /// The interface has none; driver_info.
    pub fn step_runner(
        &self,
        hardware: &str,
        kind: InterfaceKind,
        interface: &str,
        target: &Target,
    ) -> Result<Arc<dyn Steps>, DriverError> {
        self.check_interface(hardware, kind, interface)?;
        match (kind, interface) {
            (_, "fake") => Ok(Arc::new(FakeSteps::new(kind, self.delays.of(kind)))),
            (InterfaceKind::Deploy, "noop") => Ok(Arc::new(FakeSteps::new(kind, Default::default()))),
            (InterfaceKind::Vendor, "ipmitool") => Ok(self.ipmi.vendor(target)?),
            _ => Err(DriverError::unsupported(hardware, kind.name())),
        }
    }

    /// As long as the fake interface of a kind takes for what is done elsewhere (boot, inspection, rescue, storage); nothing
    /// for others.
    pub async fn pause(&self, kind: InterfaceKind, interface: &str) {
        if interface == "fake" {
            self.delays.of(kind).pass().await;
        }
    }

    /// Checks a wanted RAID configuration that is not empty.
    ///
    /// # Errors
    /// [`DriverError::Unsupported`]: no RAID; else the sentence of the refusal.
    pub fn check_raid(&self, hardware: &str, interface: &str, config: &Map<String, Value>) -> Result<(), DriverError> {
        if interface == "no-raid" {
            return Err(DriverError::unsupported(hardware, "raid"));
        }
        raid::check(config).map_err(DriverError::Invalid)
    }

    /// The driver's share of `/validate`: enabled, supported, built, driver_info complete. What depends on the rest of the
    /// node (images, ports) is the caller's. BMCs are not asked: it is called too often.
    ///
    /// # Errors
    /// The reason.
    pub fn validate(
        &self,
        hardware_type: &str,
        kind: InterfaceKind,
        interface: &str,
        target: &Target,
    ) -> Result<(), DriverError> {
        self.check_interface(hardware_type, kind, interface)?;
        if !is_built(kind, interface) {
            return Err(DriverError::unsupported(hardware_type, kind.name()));
        }
        match (kind, interface) {
            (InterfaceKind::Power | InterfaceKind::Management | InterfaceKind::Vendor, "ipmitool") => {
                IpmiInfo::parse(&target.driver_info).map(drop)
            }
            _ => Ok(()),
        }
    }
}
