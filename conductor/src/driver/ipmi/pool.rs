//! The BMCs in use: nodes with the same access share one, so that they share its session and its pace.

use super::bmc::Bmc;
use super::info::{Access, IpmiInfo};
use super::management::{ForcedBoot, IpmiManagement};
use super::options::IpmiOptions;
use super::power::IpmiPower;
use super::vendor::IpmiVendor;
use crate::driver::traits::{DriverError, Target};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sweep out idle BMCs when there are more than this many.
const SWEEP_ABOVE: usize = 256;

/// Opened BMCs. Its lock is held for look-ups only, never while something is sent.
pub struct Pool {
    options: IpmiOptions,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    bmcs: HashMap<(String, u16, String), Arc<Bmc>>,
    /// By node.
    forced: HashMap<String, Arc<Mutex<ForcedBoot>>>,
}

impl Pool {
    /// Empty.
    pub fn new(options: IpmiOptions) -> Self {
        Self { options, known: Mutex::default() }
    }

    /// Power and management of a node. Nothing is sent.
    pub fn open(&self, target: &Target) -> Result<(Arc<IpmiPower>, Arc<IpmiManagement>), DriverError> {
        let info = IpmiInfo::parse(&target.driver_info)?;
        let bmc = self.bmc(&info.access);
        let forced = info.force_boot_device.then(|| {
            let mut known = self.known();
            Arc::clone(known.forced.entry(target.node_uuid.clone()).or_default())
        });
        let management = Arc::new(IpmiManagement {
            bmc: Arc::clone(&bmc),
            bridge: info.bridge,
            node_uuid: target.node_uuid.clone(),
            uefi: target.uefi,
            keep_flags: info.disable_boot_timeout.unwrap_or(self.options.disable_boot_timeout),
            forced,
        });
        let power = Arc::new(IpmiPower {
            bmc,
            bridge: info.bridge,
            node_uuid: target.node_uuid.clone(),
            force_boot: info.force_boot_device.then(|| Arc::clone(&management)),
        });
        Ok((power, management))
    }

    /// Vendor methods of a node. Nothing is sent.
    pub fn vendor(&self, target: &Target) -> Result<Arc<IpmiVendor>, DriverError> {
        let info = IpmiInfo::parse(&target.driver_info)?;
        let (bmc, node_uuid) = (self.bmc(&info.access), target.node_uuid.clone());
        Ok(Arc::new(IpmiVendor { bmc, bridge: info.bridge, node_uuid }))
    }

    /// Closes all sessions, side by side; for a graceful stop.
    pub async fn close(&self) {
        let bmcs: Vec<_> = self.known().bmcs.drain().map(|(_, bmc)| bmc).collect();
        let closing: Vec<_> = bmcs.into_iter().map(|bmc| tokio::spawn(async move { bmc.close().await })).collect();
        for task in closing {
            let _ = task.await; // a panic in there leaves a session to the BMC's own time-out
        }
    }

    fn bmc(&self, access: &Access) -> Arc<Bmc> {
        let mut known = self.known();
        if known.bmcs.len() > SWEEP_ABOVE {
            known.bmcs.retain(|_, bmc| Arc::strong_count(bmc) > 1 || !bmc.is_idle());
        }
        let key = (access.address.clone(), access.port, access.user.clone());
        // Changed credentials make a new BMC; the old session ends when its last user lets go.
        match known.bmcs.get(&key) {
            Some(bmc) if bmc.access() == access => Arc::clone(bmc),
            _ => {
                let bmc = Bmc::new(access.clone(), self.options.clone());
                known.bmcs.insert(key, Arc::clone(&bmc));
                bmc
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
