//! Verify: are the BMC's address and credentials right? (rest-api section 17.3)

use crate::claim::Claim;
use crate::driver::steps::StepFlow;
use crate::figures;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{here, machine, readings};
use crate::model::fsm::Event;
use crate::model::node::Node;
use crate::model::steps;
use common::step::Step;
use std::time::Instant;

/// Checks driver_info, reads the power state. A person waits: one round of the driver's own tries, no long patience.
pub async fn verify(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    let uuid = claim.node.uuid;
    let driver = machine::open(conductor, &claim.node).map_err(|error| {
        Trouble::Fail(format!("Failed to validate power driver interface for node {uuid}. Error: {error}"))
    })?;
    let state = driver
        .power
        .known_state()
        .await
        .map_err(|error| Trouble::Fail(format!("Failed to get power state for node {uuid}. Error: {error}")))?;
    for step in verify_steps(conductor, &claim.node) {
        let begun = Instant::now();
        here::driver_step(conductor, claim, &step).await.map_err(|error| {
            Trouble::Fail(format!("Node {uuid} failed verify step {} with unexpected error: {error}", step.step))
        })?;
        figures::step_done("verify", &step.interface, &step.step, begun.elapsed().as_secs_f64());
    }
    if let Some(state) = state {
        machine::note_power(&mut claim.node, state);
    }
    readings::keep(conductor, claim).await;
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}

/// The steps of the node's interfaces on the way to manageable, highest priority first.
fn verify_steps(conductor: &Conductor, node: &Node) -> Vec<Step> {
    let mut list = conductor.drivers.offered(&node.interfaces, StepFlow::Verify);
    steps::override_priorities(&mut list, &conductor.config.conductor.verify_step_priority_override);
    list.retain(|step| step.priority.unwrap_or(0) > 0);
    steps::sort(&mut list);
    list
}
