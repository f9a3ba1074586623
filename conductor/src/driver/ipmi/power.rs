//! Power by Chassis Control; what counts is what Chassis Status reports afterwards.

use super::bmc::Bmc;
use super::bridge::Bridge;
use super::command::{Command, Control, control, power_state, status};
use super::error::IpmiError;
use super::management::IpmiManagement;
use crate::driver::traits::{DriverError, Power};
use crate::model::power::{PowerState, PowerTarget};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

/// The first looks at the state follow fast: most BMCs switch at once.
const FIRST_POLL: Duration = Duration::from_millis(200);
/// A machine still off this long after a power cycle is switched on by hand: some BMCs cycle only what was on.
const CYCLE_UP: Duration = Duration::from_secs(8);

/// Power of one machine behind one BMC.
pub struct IpmiPower {
    /// The BMC.
    pub bmc: Arc<Bmc>,
    /// The way to the node's controller.
    pub bridge: Bridge,
    /// For logs.
    pub node_uuid: String,
    /// Sets the boot device again before each power-on (`ipmi_force_boot_device`).
    pub force_boot: Option<Arc<IpmiManagement>>,
}

/// One wait for a state.
struct Wait {
    want: PowerState,
    since: Instant,
    deadline: Instant,
    pause: Duration,
    last: Option<Result<PowerState, IpmiError>>,
}

impl IpmiPower {
    async fn send(&self, command: &Command) -> Result<Vec<u8>, IpmiError> {
        self.bmc.call(self.bridge, command).await
    }

    async fn look(&self) -> Result<PowerState, IpmiError> {
        power_state(&self.send(&status()).await?).ok_or(IpmiError::Malformed)
    }

    /// Gives an order. A refusal is none when the machine already is where it should be.
    async fn order(&self, action: Control, want: PowerState) -> Result<(), DriverError> {
        let command = control(action);
        info!(node = %self.node_uuid, bmc = %self.bmc.access().address, command = command.what, "IPMI power order");
        match self.send(&command).await {
            Ok(_) => Ok(()),
            Err(IpmiError::Refused { .. }) if self.look().await.is_ok_and(|state| state == want) => Ok(()),
            Err(error) => Err(error.of(command.what)),
        }
    }

    async fn switch_on(&self, deadline: Instant) -> Result<(), DriverError> {
        if let Some(management) = &self.force_boot {
            management.force_again().await?;
        }
        self.order(Control::Up, PowerState::On).await?;
        self.reaches(PowerState::On, deadline, "chassis power on").await
    }

    async fn switch_off(&self, deadline: Instant) -> Result<(), DriverError> {
        self.order(Control::Down, PowerState::Off).await?;
        self.reaches(PowerState::Off, deadline, "chassis power off").await
    }

    async fn soft_off(&self, deadline: Instant) -> Result<(), DriverError> {
        if self.state().await? == PowerState::Off {
            return Ok(());
        }
        self.order(Control::Soft, PowerState::Off).await?;
        self.reaches(PowerState::Off, deadline, "chassis power soft").await
    }

    async fn cycle(&self, deadline: Instant) -> Result<(), DriverError> {
        if self.state().await? == PowerState::Off {
            return self.switch_on(deadline).await;
        }
        if let Some(management) = &self.force_boot {
            management.force_again().await?;
        }
        let command = control(Control::Cycle);
        info!(node = %self.node_uuid, bmc = %self.bmc.access().address, command = command.what, "IPMI power order");
        match self.send(&command).await {
            Ok(_) => {}
            Err(IpmiError::Refused { code }) => {
                info!(node = %self.node_uuid, code, "the BMC does not cycle: off, then on");
                self.switch_off(deadline).await?;
                return self.switch_on(deadline).await;
            }
            Err(error) => return Err(error.of(command.what)),
        }
        let mut wait = self.wait(PowerState::On, deadline);
        let (mut was_off, mut helped) = (false, false);
        while wait.goes_on() {
            match wait.look(self).await {
                Some(PowerState::On) if was_off || wait.since.elapsed() >= self.bmc.options().cycle_settle => {
                    return Ok(());
                }
                Some(PowerState::Off) => was_off = true,
                _ => {}
            }
            if was_off && !helped && wait.since.elapsed() >= CYCLE_UP {
                warn!(node = %self.node_uuid, "off for long after a power cycle: switching on");
                helped = true;
                self.order(Control::Up, PowerState::On).await?;
            }
        }
        Err(wait.over(command.what))
    }

    async fn reaches(&self, want: PowerState, deadline: Instant, what: &str) -> Result<(), DriverError> {
        let mut wait = self.wait(want, deadline);
        while wait.goes_on() {
            if wait.look(self).await == Some(want) {
                return Ok(());
            }
        }
        Err(wait.over(what))
    }

    fn wait(&self, want: PowerState, deadline: Instant) -> Wait {
        Wait { want, since: Instant::now(), deadline, pause: Duration::ZERO, last: None }
    }
}

impl Wait {
    /// There is always one look, also when the order itself took all the time.
    fn goes_on(&self) -> bool {
        self.last.is_none() || Instant::now() < self.deadline
    }

    /// Pauses and looks; a BMC that is silent for a while (it may restart with the machine) does not end the wait.
    async fn look(&mut self, power: &IpmiPower) -> Option<PowerState> {
        sleep_until(self.deadline.min(Instant::now() + self.pause)).await;
        let longest = power.bmc.options().poll_interval;
        self.pause = if self.pause.is_zero() { FIRST_POLL.min(longest) } else { (self.pause * 3 / 2).min(longest) };
        let state = power.look().await;
        let seen = state.as_ref().ok().copied();
        self.last = Some(state);
        seen
    }

    fn over(self, what: &str) -> DriverError {
        let after = self.since.elapsed().as_secs();
        let last = match self.last {
            Some(Ok(state)) => format!("the BMC still reports '{state}'"),
            Some(Err(error)) => format!("and now the BMC fails: {error}"),
            None => "the BMC was not asked".into(),
        };
        let advice = match what {
            "chassis power soft" => "The operating system did not react to the ACPI power button: use hard power off",
            _ => "Look at the machine's console and at the BMC's event log, or allow a longer time-out",
        };
        DriverError::Failed(format!(
            "IPMI call failed: {what}: '{}' was not reached within {after} s, {last}. {advice}",
            self.want
        ))
    }
}

#[async_trait]
impl Power for IpmiPower {
    async fn state(&self) -> Result<PowerState, DriverError> {
        self.look().await.map_err(|error| error.of("chassis power status"))
    }

    async fn set(&self, want: PowerTarget, timeout: Duration) -> Result<(), DriverError> {
        let deadline = Instant::now() + timeout;
        match want {
            PowerTarget::On if self.state().await? == PowerState::On => Ok(()),
            PowerTarget::On => self.switch_on(deadline).await,
            PowerTarget::Off => self.switch_off(deadline).await,
            PowerTarget::Reboot => self.cycle(deadline).await,
            PowerTarget::SoftOff => self.soft_off(deadline).await,
            PowerTarget::SoftReboot => {
                self.soft_off(deadline).await?;
                self.switch_on(deadline).await
            }
        }
    }

    fn supported(&self) -> &'static [PowerTarget] {
        PowerTarget::ALL
    }
}
