//! Power and boot device of the node at hand, with patience: a BMC that is silent for a while fails nothing.

use crate::claim::Claim;
use crate::driver::traits::{Driver, DriverError, Target};
use crate::flow::conductor::Conductor;
use crate::flow::family;
use crate::flow::trouble::Trouble;
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::{BootDevice, PowerChange, PowerState, PowerTarget};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which process of a conductor made the token that the node has.
pub const TOKEN_MAKER: &str = "agent_token_maker";
/// When the power changed last, or began to.
const POWER_CHANGED: &str = "last_power_state_change";
/// Longest pause between two tries at a silent BMC.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What the drivers of a node are opened with.
pub fn target(conductor: &Conductor, node: &Node) -> Target {
    let mode = node.wanted_boot_mode().unwrap_or_else(|| conductor.config.deploy.default_boot_mode.clone());
    Target {
        node_uuid: node.uuid.to_string(),
        driver_info: node.driver_info.clone(),
        uefi: mode == "uefi",
        stored_power: node.power_state,
    }
}

/// Opens the driver of a node.
///
/// # Errors
/// [`DriverError::Invalid`]: driver_info.
pub fn open(conductor: &Conductor, node: &Node) -> Result<Driver, DriverError> {
    conductor.drivers.open(
        &node.driver,
        node.interface(InterfaceKind::Power),
        node.interface(InterfaceKind::Management),
        target(conductor, node),
    )
}

/// The power interface's validation: enabled, built, driver_info complete. Nothing is sent.
///
/// # Errors
/// [`DriverError::Invalid`]: driver_info. [`DriverError::Unsupported`]: no such driver here.
pub fn check_power(conductor: &Conductor, node: &Node) -> Result<(), DriverError> {
    let interface = node.interface(InterfaceKind::Power);
    conductor.drivers.power(&node.driver, interface, &target(conductor, node)).map(drop)
}

/// Tries `work` until it succeeds, fails for good, or `bmc_patience` is over. Only [`DriverError::Failed`] is tried again.
pub async fn patiently<T, F, W>(conductor: &Conductor, claim: &mut Claim, what: &str, work: W) -> Result<T, Trouble>
where
    W: Fn(Driver) -> F,
    F: Future<Output = Result<T, DriverError>>,
{
    let begun = Instant::now();
    let mut pause = Duration::from_millis(500);
    let mut told = false;
    loop {
        let driver = open(conductor, &claim.node)?;
        let simulated = driver.power.is_simulated();
        let attempt = work(driver);
        // A simulated machine takes its time without keeping a worker.
        let outcome = if simulated { conductor.aside(attempt).await } else { attempt.await };
        let cause = match outcome {
            Ok(value) => {
                if told {
                    claim.note(Severity::Info, "power", format!("the BMC answers again: {what} is done"));
                }
                return Ok(value);
            }
            Err(DriverError::Failed(cause)) => cause,
            Err(other) => return Err(other.into()),
        };
        let patience = conductor.config.conductor.bmc_patience.duration();
        if begun.elapsed() + pause > patience {
            return Err(Trouble::Fail(format!(
                "Failed to {what}: {cause} (tried for {} s; check that the BMC is reachable, then try again)",
                begun.elapsed().as_secs()
            )));
        }
        if !told {
            told = true;
            let text = format!("cannot {what} yet: {cause}; trying for {} s", patience.as_secs());
            claim.note(Severity::Error, "power", text);
            claim.save().await?;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = conductor.stopping().cancelled_owned() => {
                return Err(Trouble::Lost(crate::store::StoreError::Database("the conductor is stopping".into())));
            }
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Deployments of this node switch its machine: Ironic's fake and noop ones leave it as it is.
pub fn deploy_switches(node: &Node) -> bool {
    !["fake", "noop"].contains(&node.interface(InterfaceKind::Deploy))
}

/// Brings the machine to `want` and notes the new state in the record (not saved yet).
///
/// # Errors
/// [`Trouble::Fail`] after `bmc_patience`.
pub async fn set_power(conductor: &Arc<Conductor>, claim: &mut Claim, want: PowerTarget) -> Result<(), Trouble> {
    change_power(conductor, claim, PowerChange::Own(want)).await
}

/// As [`set_power`], whoever's change it is.
///
/// # Errors
/// As [`set_power`].
pub async fn change_power(conductor: &Arc<Conductor>, claim: &mut Claim, change: PowerChange) -> Result<(), Trouble> {
    let want = change.target();
    if claim.node.disable_power_off && want == PowerTarget::Off {
        return Err(Trouble::Fail("this node has disable_power_off set and cannot be switched off".into()));
    }
    // A machine that is to boot needs its parent on, and so does one that is reset.
    let family = if want == PowerTarget::Reboot { PowerTarget::On } else { want };
    family::before(conductor, &claim.node, family).await.map_err(Trouble::Fail)?;
    let begun = begin_power(&mut claim.node, change);
    if begun == Begun::ToBeSaved {
        claim.save().await?;
    }
    let timeout = conductor.config.conductor.power_state_change_timeout.duration();
    let what = format!("change power state to {}", want.shown());
    let done = patiently(conductor, claim, &what, |driver| async move { driver.power.set(want, timeout).await }).await;
    end_power(&mut claim.node, want, done.is_ok());
    done
}

/// What [`begin_power`] left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// The record must be saved before the machine is told.
    ToBeSaved,
    /// The machine is where it should be, as far as the record knows: there is nothing to see.
    Quietly,
}

/// Before a machine is told: what everybody can see while its power changes, and the end of the boot that ends with it. An
/// agent that runs to the last moment is not believed any more, and one of the next boot finds no token of the last.
pub fn begin_power(node: &mut Node, change: PowerChange) -> Begun {
    let want = change.target();
    let had_agent = ["agent_url", "agent_secret_token"].iter().any(|key| node.driver_internal_info.contains_key(*key));
    if want != PowerTarget::On {
        forget_boot(node);
    }
    let stays = matches!(want, PowerTarget::On | PowerTarget::Off) && node.power_state == Some(want.end());
    if stays && !had_agent {
        return Begun::Quietly;
    }
    node.target_power_state = Some(change);
    node.driver_internal_info.insert(POWER_CHANGED.into(), json!(plain_time()));
    Begun::ToBeSaved
}

/// Afterwards, however it went; the caller saves.
pub fn end_power(node: &mut Node, want: PowerTarget, done: bool) {
    node.target_power_state = None;
    if done {
        note_power(node, want.end());
        if want != PowerTarget::On {
            forget_boot(node);
        }
    }
}

/// As long as the fake interface of a kind takes for what is done here and not in its driver. The node stays held, the worker
/// does not wait.
pub async fn fake_delay(conductor: &Conductor, node: &Node, kind: InterfaceKind) {
    conductor.aside(conductor.drivers.pause(kind, node.interface(kind))).await;
}

/// What the BMC reports now, noted in the record. `None`: a simulated machine that nobody has switched yet.
///
/// # Errors
/// [`DriverError`].
pub async fn read_power(conductor: &Conductor, node: &mut Node) -> Result<Option<PowerState>, DriverError> {
    let state = open(conductor, node)?.power.known_state().await?;
    if let Some(state) = state {
        note_power(node, state);
    }
    Ok(state)
}

/// Records a power state.
pub fn note_power(node: &mut Node, state: PowerState) {
    if node.power_state != Some(state) {
        node.driver_internal_info.insert(POWER_CHANGED.into(), json!(plain_time()));
    }
    node.power_state = Some(state);
    node.target_power_state = None;
}

/// Sets the boot device. A driver without management is left alone; so is a machine that boots in no way of ours (the fake
/// boot interface), as in Ironic, where the boot interface is who sets it.
///
/// # Errors
/// [`Trouble::Fail`] after `bmc_patience`.
pub async fn set_boot_device(
    conductor: &Conductor,
    claim: &mut Claim,
    device: BootDevice,
    persistent: bool,
) -> Result<(), Trouble> {
    if claim.node.interface(InterfaceKind::Boot) == "fake" {
        return Ok(());
    }
    let persistent = match claim.node.driver_info.text("force_persistent_boot_device").map(str::to_ascii_lowercase) {
        Some(word) if word == "always" || word == "true" => true,
        Some(word) if word == "never" => false,
        _ => persistent,
    };
    let what = format!("set the boot device to {device}");
    patiently(conductor, claim, &what, |driver| async move {
        match driver.management {
            Some(management) => management.set_boot_device(device, persistent).await,
            None => Ok(()),
        }
    })
    .await
}

/// Everything that belongs to the boot that just ended: the agent's address, certificate, token and steps
/// (agent-protocol section 18, "Wiped on power off"). A token made before the boot stays.
pub fn forget_boot(node: &mut Node) {
    let pregenerated = node.driver_internal_info.flag("agent_secret_token_pregenerated") == Some(true);
    for key in [
        "agent_url",
        "agent_verify_ca",
        "agent_start_attempted",
        "agent_cached_clean_steps",
        "agent_cached_deploy_steps",
        "agent_cached_service_steps",
    ] {
        node.driver_internal_info.remove(key);
    }
    if !pregenerated {
        node.driver_internal_info.remove("agent_secret_token");
        node.driver_internal_info.remove(TOKEN_MAKER);
    }
    node.flow.command = None;
    node.flow.kept = false;
}

/// As [`forget_boot`], and the token goes whoever made it: start and end of a flow (agent-protocol section 3).
pub fn forget_agent(node: &mut Node) {
    node.driver_internal_info.remove("agent_secret_token_pregenerated");
    forget_boot(node);
}

/// Now, as dates in driver_internal_info are written: ISO 8601 without offset (rest-api 17.12).
pub fn plain_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// What differs between two boots of a machine.
pub fn boot_mark(node: &Node) -> Option<&str> {
    node.driver_internal_info.text(POWER_CHANGED)
}

/// Such a date of driver_internal_info.
pub fn noted_time(node: &Node, key: &str) -> Option<Timestamp> {
    let text = node.driver_internal_info.text(key)?;
    text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_agent() -> Node {
        let mut node = Node { power_state: Some(PowerState::On), ..Node::default() };
        for key in ["agent_url", "agent_secret_token", "agent_verify_ca", "agent_version"] {
            node.driver_internal_info.insert(key.into(), json!("x"));
        }
        node.flow.command = Some("a step".into());
        node
    }

    #[test]
    fn a_boot_ends_before_the_machine_is_told() {
        for want in [PowerTarget::Off, PowerTarget::Reboot, PowerTarget::SoftOff, PowerTarget::SoftReboot] {
            let mut node = with_agent();
            assert_eq!(begin_power(&mut node, PowerChange::Own(want)), Begun::ToBeSaved, "{want}");
            let left: Vec<_> = node.driver_internal_info.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!((left, &node.flow.command), (vec!["agent_version", POWER_CHANGED], &None), "{want}");
            assert_eq!(node.power_to_come(), Some(want.end()));
        }
        let mut node = with_agent();
        assert_eq!(
            begin_power(&mut node, PowerChange::Own(PowerTarget::On)),
            Begun::ToBeSaved,
            "an agent is there: who knows where it runs"
        );
        assert!(node.driver_internal_info.contains_key("agent_secret_token"));
        node = with_agent();
        node.driver_internal_info.insert("agent_secret_token_pregenerated".into(), json!(true));
        let _ = begin_power(&mut node, PowerChange::Own(PowerTarget::Reboot));
        assert!(node.driver_internal_info.contains_key("agent_secret_token"), "it is in the medium that boots again");
    }

    #[test]
    fn nothing_is_shown_where_nothing_changes_and_the_target_goes_however_it_ended() {
        let mut node = Node { power_state: Some(PowerState::Off), ..Node::default() };
        assert_eq!(begin_power(&mut node, PowerChange::Own(PowerTarget::Off)), Begun::Quietly);
        assert_eq!(node.power_to_come(), None);
        assert_eq!(begin_power(&mut node, PowerChange::Own(PowerTarget::Reboot)), Begun::ToBeSaved);
        end_power(&mut node, PowerTarget::Reboot, false);
        assert_eq!((node.power_to_come(), node.power_state), (None, Some(PowerState::Off)));
        let _ = begin_power(&mut node, PowerChange::Own(PowerTarget::On));
        end_power(&mut node, PowerTarget::On, true);
        assert_eq!((node.power_to_come(), node.power_state), (None, Some(PowerState::On)));
    }
}
