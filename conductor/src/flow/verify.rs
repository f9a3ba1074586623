//! Verify: are the BMC's address and credentials right? (rest-api section 17.3)

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::machine;
use crate::flow::trouble::{Moved, Trouble};
use crate::model::fsm::Event;

/// Checks driver_info, reads the power state. A person waits: one round of the driver's own tries, no long patience.
pub async fn verify(conductor: &Conductor, claim: &mut Claim) -> Result<Moved, Trouble> {
    let uuid = claim.node.uuid;
    let driver = machine::open(conductor, &claim.node).map_err(|error| {
        Trouble::Fail(format!("Failed to validate power driver interface for node {uuid}. Error: {error}"))
    })?;
    let state = driver
        .power
        .state()
        .await
        .map_err(|error| Trouble::Fail(format!("Failed to get power state for node {uuid}. Error: {error}")))?;
    machine::note_power(&mut claim.node, state);
    claim.step(Event::Done)?;
    claim.save().await?;
    Ok(Moved::On)
}
