//! Machines whose ramdisk never called are booted again, while their flow waits (`[pxe] boot_retry_timeout`; ironic-features 4.2).

use crate::claim::Claim;
use crate::config::Seconds;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::Trouble;
use crate::flow::{machine, ramdisk, run};
use crate::model::fsm::State;
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StoreError};
use jiff::{Timestamp, Unit};
use std::sync::Arc;

/// Flows that wait for a ramdisk.
const WAITS: &[State] = &[State::DeployWait, State::CleanWait, State::RescueWait];

/// How long a machine may be silent.
#[derive(Clone, Copy)]
struct Patience {
    /// Before its agent has called.
    silence: Seconds,
    /// Afterwards: an agent that writes a disk is heard so often, and must not be switched off between two of its beats.
    beats: Seconds,
}

impl Patience {
    fn of(conductor: &Conductor) -> Self {
        let silence = conductor.config.pxe.boot_retry_timeout;
        let timeout = u32::try_from(conductor.config.api.ramdisk_heartbeat_timeout).unwrap_or(u32::MAX);
        Self { silence, beats: Seconds(silence.0.max(f64::from(timeout))) }
    }
}

/// Looks at all of them; what is booted again is so behind.
///
/// # Errors
/// The store cannot be read.
pub async fn round(conductor: &Arc<Conductor>) -> Result<(), StoreError> {
    let patience = Patience::of(conductor);
    if patience.silence.is_off() {
        return Ok(());
    }
    let filter = NodeFilter {
        provision_states: WAITS.to_vec(),
        maintenance: Some(false),
        include_children: true,
        ..NodeFilter::default()
    };
    for node in conductor.store.nodes(&Visible::Everything, &filter, &Page::default()).await? {
        if node.reservation.is_some() || !is_due(&node, patience, Timestamp::now()) {
            continue;
        }
        let Ok(claim) = Claim::take(&conductor.holder, node.uuid, "network boot again").await else { continue };
        conductor.spawn(again(Arc::clone(conductor), claim, patience));
    }
    Ok(())
}

/// Nothing was heard of the machine for so long: neither its agent nor a change of its power.
fn is_due(node: &Node, patience: Patience, now: Timestamp) -> bool {
    let has_called = node.driver_internal_info.contains_key("agent_url");
    let limit = if has_called { patience.beats } else { patience.silence };
    let is_old = |time: Option<Timestamp>| {
        time.is_none_or(|time| (now - time).total(Unit::Second).is_ok_and(|seconds| seconds > limit.0))
    };
    let noted = |key: &str| machine::noted_time(node, key);
    WAITS.contains(&node.provision_state)
        && node.interface(InterfaceKind::Boot) == "ipxe"
        // A step may have switched it off on purpose.
        && node.flow.pause.is_none()
        && !node.maintenance
        && is_old(node.provision_updated_at)
        && is_old(noted("agent_last_heartbeat"))
        && is_old(noted("last_power_state_change"))
}

async fn again(conductor: Arc<Conductor>, mut claim: Claim, patience: Patience) {
    // The record may have changed between the list and the claim.
    if is_due(&claim.node, patience, Timestamp::now()) {
        let text =
            format!("nothing was heard of the ramdisk for {} s: the machine is booted again", patience.silence.0);
        claim.note(Severity::Info, "boot", text);
        let rescue = claim.node.provision_state == State::RescueWait;
        let purpose = if rescue { ramdisk::Purpose::Rescue } else { ramdisk::Purpose::Steps };
        let booted = match ramdisk::boot(&conductor, &mut claim, purpose).await {
            Ok(()) => Ok(()),
            Err(Trouble::Lost(error)) => Err(error),
            Err(other) => {
                claim.note(Severity::Error, "boot", format!("it could not be booted again: {other}"));
                Ok(())
            }
        };
        let saved = match booted {
            Ok(()) => claim.save().await,
            lost => lost,
        };
        if let Err(error) = saved {
            tracing::warn!(node = %claim.node.uuid, %error, "another try to boot the machine was not recorded");
        }
    }
    run(conductor, claim).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flow_note::Pause;
    use serde_json::json;

    #[test]
    fn a_machine_is_due_when_nothing_was_heard_of_it_for_so_long() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let mut node = Node { provision_state: State::DeployWait, ..Node::default() };
        node.interfaces.insert(InterfaceKind::Boot, "ipxe".into());
        node.provision_updated_at = "2026-11-29T11:00:00Z".parse().ok();
        let patience = Patience { silence: Seconds(600.0), beats: Seconds(1000.0) };
        let due = |node: &Node| is_due(node, patience, now);
        assert!(due(&node));
        for key in ["agent_last_heartbeat", "last_power_state_change"] {
            let mut other = node.clone();
            other.driver_internal_info.insert(key.into(), json!("2026-11-29T11:55:00.123456"));
            assert!(!due(&other), "{key}");
            other.driver_internal_info.insert(key.into(), json!("2026-11-29T11:45:00.123456"));
            assert!(due(&other), "{key}");
        }
        let mut called = node.clone();
        called.driver_internal_info.insert("agent_url".into(), json!("https://192.0.2.1:9999"));
        for (beat, is) in [("2026-11-29T11:45:00.5", false), ("2026-11-29T11:40:00.5", true)] {
            called.driver_internal_info.insert("agent_last_heartbeat".into(), json!(beat));
            assert_eq!(due(&called), is, "{beat}");
        }
        assert!(!due(&Node { maintenance: true, ..node.clone() }));
        assert!(!due(&Node { provision_state: State::InspectWait, ..node.clone() }), "it has a time-out of its own");
        assert!(!due(&Node { provision_updated_at: Some(now), ..node.clone() }));
        node.flow.pause = Some(Pause::Outside);
        assert!(!due(&node));
    }
}
