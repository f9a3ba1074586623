//! What time asks for: deadlines, power sync, signs of life. Each one only knocks or looks; `flow` decides.

use crate::boot::dhcp::KnownMachines;
use crate::boot::directory::BootDirectory;
use crate::config::Seconds;
use crate::flow::conductor::Conductor;
use crate::flow::{boot_retry, power_sync, timeouts};
use crate::policy::Visible;
use crate::store::{ConductorRecord, Page, PortFilter, StoreError};
use common::mac::Mac;
use jiff::Timestamp;
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Seconds between two signs of life (rest-api section 17.11, heartbeat_interval).
const SIGN_OF_LIFE: Seconds = Seconds(10.0);
/// Seconds between two looks at the age of the event log.
const LOG_AGE: Seconds = Seconds(60.0);
/// Seconds after which DHCP knows a NIC that was enrolled.
const NEW_PORTS: Seconds = Seconds(2.0);

/// The NICs that the DHCP server gives addresses to: those of every port, and those that boot now.
pub struct KnownPorts {
    boot: BootDirectory,
    ports: RwLock<HashSet<Mac>>,
}

impl KnownPorts {
    /// Empty until the first look.
    pub fn new(boot: BootDirectory) -> Self {
        Self { boot, ports: RwLock::default() }
    }

    async fn refresh(&self, conductor: &Conductor) -> Result<(), StoreError> {
        let ports = conductor.store.ports(&Visible::Everything, &PortFilter::default(), &Page::default()).await?;
        *self.ports.write().unwrap_or_else(PoisonError::into_inner) = ports.iter().map(|port| port.address).collect();
        Ok(())
    }
}

impl KnownMachines for KnownPorts {
    fn knows(&self, mac: Mac) -> bool {
        self.boot.knows(mac) || self.ports.read().unwrap_or_else(PoisonError::into_inner).contains(&mac)
    }
}

/// Starts everything that comes again and again; it ends when the set is dropped.
pub fn spawn(conductor: &Arc<Conductor>, known: &Arc<KnownPorts>) -> JoinSet<()> {
    let options = &conductor.config.conductor;
    let mut tasks = JoinSet::new();
    every(&mut tasks, conductor, "deadlines", options.check_provision_state_interval, |conductor| async move {
        timeouts::check(&conductor).await
    });
    every(&mut tasks, conductor, "power sync", options.sync_power_state_interval, |conductor| async move {
        power_sync::round(&conductor).await
    });
    every(&mut tasks, conductor, "power recovery", options.power_failure_recovery_interval, |conductor| async move {
        power_sync::recovery(&conductor).await
    });
    every(
        &mut tasks,
        conductor,
        "boots again",
        conductor.config.pxe.boot_retry_check_interval,
        |conductor| async move { boot_retry::round(&conductor).await },
    );
    every(&mut tasks, conductor, "sign of life", SIGN_OF_LIFE, |conductor| async move { alive(&conductor).await });
    every(
        &mut tasks,
        conductor,
        "age of the event log",
        LOG_AGE,
        |conductor| async move { trim_log(&conductor).await },
    );
    let known = Arc::clone(known);
    every(&mut tasks, conductor, "known NICs", NEW_PORTS, move |conductor| {
        let known = Arc::clone(&known);
        async move { known.refresh(&conductor).await }
    });
    tasks
}

fn every<F, W>(tasks: &mut JoinSet<()>, conductor: &Arc<Conductor>, what: &'static str, interval: Seconds, work: W)
where
    F: Future<Output = Result<(), StoreError>> + Send,
    W: Fn(Arc<Conductor>) -> F + Send + Sync + 'static,
{
    if interval.is_off() {
        return;
    }
    let conductor = Arc::clone(conductor);
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(interval.duration());
        // A round that took long is not followed by a burst of rounds.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = work(Arc::clone(&conductor)).await {
                tracing::warn!(%error, "{what}: this round failed; the next one comes in {} s", interval.0);
            }
        }
    });
}

/// Old lines of the event log go.
async fn trim_log(conductor: &Conductor) -> Result<(), StoreError> {
    let age = conductor.config.events.log_max_age;
    if age.is_off() {
        return Ok(());
    }
    let Ok(before) = Timestamp::now().checked_sub(age.duration()) else { return Ok(()) };
    conductor.store.trim_events(before).await.map(|_| ())
}

/// A sign of life. Given before the first answer too: a client that asks at once must find a conductor.
///
/// # Errors
/// The store's.
pub async fn alive(conductor: &Conductor) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let record = ConductorRecord {
        hostname: conductor.host.clone(),
        conductor_group: conductor.config.conductor.conductor_group.clone(),
        drivers: conductor.drivers.hardware_types().map(|hardware| hardware.name.to_owned()).collect(),
        created_at: now,
        updated_at: now,
    };
    conductor.store.register_conductor(&record).await
}
