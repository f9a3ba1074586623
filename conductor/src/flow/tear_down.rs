//! Undeploy: switch off, forget the instance, then clean (rest-api section 17.6).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{autodetect, console, machine};
use crate::model::fsm::Event;
use crate::model::node::{InterfaceKind, Node};
use crate::model::power::PowerTarget;
use crate::model::steps;
use common::step::StepKind;
use std::sync::Arc;

/// Switches off and goes on to cleaning.
pub async fn tear_down(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    machine::fake_delay(conductor, &claim.node, InterfaceKind::Deploy).await;
    if machine::deploy_switches(&claim.node) && !claim.node.disable_power_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await.map_err(|trouble| match trouble {
            Trouble::Fail(text) => Trouble::Fail(format!("Failed to tear down: {text}")),
            lost => lost,
        })?;
    }
    conductor.boot.remove(claim.node.uuid);
    forget_instance(&mut claim.node);
    claim.node.flow.stage.clear();
    claim.node.flow.ramdisk = false;
    claim.step(Event::Clean)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// Nothing of the instance stays, also when the tear-down fails.
pub fn forget_instance(node: &mut Node) {
    autodetect::restore(node);
    console::leave(node);
    node.instance_info.clear();
    node.instance_uuid = None;
    node.allocation_uuid = None;
    node.instance_name = None;
    if node.driver_internal_info.remove("automatic_lessee").is_some() {
        node.lessee = None;
    }
    for key in [
        "is_whole_disk_image",
        "is_source_a_path",
        "image_source",
        "root_uuid_or_disk_id",
        "deploy_boot_mode",
        crate::flow::deploy::ASKED,
        "agent_cached_deploy_steps",
        "agent_cached_deploy_steps_refreshed",
    ] {
        node.driver_internal_info.remove(key);
    }
    for key in [crate::flow::service::ASKED, crate::flow::service::NO_RAMDISK] {
        node.driver_internal_info.remove(key);
    }
    steps::clear(node, StepKind::Deploy);
    steps::clear(node, StepKind::Service);
    machine::forget_agent(node);
}
