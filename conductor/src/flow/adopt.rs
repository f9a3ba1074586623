//! Adopt: takes over an instance that runs already; touches nothing (rest-api section 17.8).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{autodetect, machine, memory_instance};
use crate::model::fsm::Event;

/// Checks that the BMC answers and becomes active. A node that is not taken over keeps its deploy interface.
pub async fn adopt(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    autodetect::switch(conductor, &mut claim.node);
    let taken = take_over(conductor, claim).await;
    if taken.is_err() {
        autodetect::restore(&mut claim.node);
    }
    taken
}

async fn take_over(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    machine::read_power(conductor, &mut claim.node).await.map_err(|error| {
        Trouble::Fail(format!("Error while attempting to adopt node {}: {error}.", claim.node.uuid))
    })?;
    if memory_instance::is_one(&claim.node) {
        let node = &claim.node;
        let offered = match memory_instance::check(conductor, node) {
            Ok(()) => memory_instance::offer(conductor, node).await,
            refused => refused,
        };
        offered
            .map_err(|text| Trouble::Fail(format!("Error while attempting to adopt node {}: {text}.", node.uuid)))?;
    }
    // A ramdisk that ran here is none of the instance's.
    machine::forget_agent(&mut claim.node);
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}
