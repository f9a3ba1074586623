//! What happens to a node: two doors and one loop.
//!
//! [`request`] is the first door: what people and agents ask for. [`wake`] is the second: a knock (heartbeat, clock, our
//! own restart) that carries no orders. Both end in [`run`], which decides from the record alone what comes next
//! (`model::plan`), does it, and saves. A process that dies loses at most the piece that was not saved, and every piece
//! can be run twice.

mod adopt;
mod agent_logs;
mod agent_steps;
mod agent_talk;
pub mod allocate;
mod api_call;
pub mod autodetect;
pub mod boot_retry;
mod children;
mod clean;
pub mod conductor;
mod console;
mod deploy;
mod erase_proof;
mod failure;
mod family;
mod fast_track;
mod here;
mod image;
mod inspect;
mod inspection_rules;
mod instance;
mod machine;
mod memory_instance;
pub mod power;
pub mod power_sync;
mod raid_config;
mod ramdisk;
mod readings;
pub mod recover;
pub mod request;
mod rescue;
mod reserved;
mod service;
mod step_loop;
mod tear_down;
mod templates;
pub mod timeouts;
mod trouble;
mod verify;

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::model::flow_note::Pause;
use crate::model::plan::{self, Facts, Piece};
use crate::store::StoreError;
use jiff::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A knock: heartbeat, clock or our own restart. It says nothing; we look. One that comes while this process holds the node is
/// remembered and answered on release; none may be lost, for the node would wait until its time is over.
///
/// # Errors
/// What the store says; a node that another conductor holds is no error.
pub fn wake<'a>(
    conductor: &'a Arc<Conductor>,
    node: Uuid,
    reason: &'a str,
) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>> {
    // Boxed: a flow may give back nodes of its family, and that may wake other flows.
    Box::pin(async move {
        loop {
            if conductor.holder.mark(node) {
                return Ok(());
            }
            match Claim::take(&conductor.holder, node, reason).await {
                Ok(claim) => {
                    let conductor = Arc::clone(conductor);
                    conductor.clone().spawn(async move { run(conductor, claim).await });
                    return Ok(());
                }
                // Taken or released by this very process between the two looks: look again.
                Err(StoreError::Held { owner, .. }) if owner == conductor.host => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(StoreError::Held { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    })
}

/// Gives a node back after a request that started no flow. Whoever knocked meanwhile is answered behind: a request must not
/// wait for another's flow.
pub async fn let_go(conductor: &Arc<Conductor>, claim: Claim) {
    let node = claim.node.uuid;
    if claim.release().await && !conductor.is_stopping() {
        let shared = Arc::clone(conductor);
        conductor.spawn(async move {
            if let Err(error) = wake(&shared, node, "knock").await {
                tracing::warn!(%node, %error, "a knock was not answered; the next one will be");
            }
        });
    }
}

/// The loop: the next piece, until there is none; then the node is given back. Whoever knocked meanwhile is answered as by
/// [`let_go`]: another request may have taken the node before us.
pub async fn run(conductor: Arc<Conductor>, mut claim: Claim) {
    if let Err(error) = work_off(&conductor, &mut claim).await {
        tracing::error!(node = %claim.node.uuid, %error, "this flow stops here: its work can no longer be saved");
        return;
    }
    let_go(&conductor, claim).await;
}

async fn work_off(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<(), StoreError> {
    while !conductor.is_stopping() {
        let arrival = conductor.store.arrival(claim.node.uuid).await?.is_some();
        let facts = Facts { arrival, now: Timestamp::now() };
        let Some(piece) = plan::next(&claim.node, facts) else {
            if let (Some(Pause::Until(time)), true) = (&claim.node.flow.pause, claim.node.provision_state.is_wait()) {
                knock_at(conductor, claim.node.uuid, *time);
            }
            return Ok(());
        };
        match perform(conductor, claim, piece).await {
            Ok(Moved::On) => {}
            Ok(Moved::Rest) => return Ok(()),
            Err(Trouble::Lost(error)) => return Err(error),
            Err(Trouble::Fail(text)) => failure::record(conductor, claim, piece, text).await?,
            Err(Trouble::Aborted(text)) => failure::abort(conductor, claim, text).await?,
        }
    }
    Ok(())
}

/// Knocks when a pause is over. The deadline itself is in the record: a restart sets the clock again, and `timeouts` looks
/// for pauses whose conductor is gone.
fn knock_at(conductor: &Arc<Conductor>, node: Uuid, time: Timestamp) {
    let pause = Duration::try_from(time - Timestamp::now()).unwrap_or_default();
    let shared = Arc::clone(conductor);
    conductor.later(pause, async move {
        if let Err(error) = wake(&shared, node, "a pause is over").await {
            tracing::warn!(%node, %error, "the end of a pause was missed; the next look at deadlines will see it");
        }
    });
}

async fn perform(conductor: &Arc<Conductor>, claim: &mut Claim, piece: Piece) -> Result<Moved, Trouble> {
    tracing::debug!(node = %claim.node.uuid, ?piece, stage = claim.node.flow.stage, "next piece");
    match piece {
        Piece::Abort => {
            let text = claim.node.flow.abort.take().unwrap_or_default();
            failure::abort(conductor, claim, text).await?;
            Ok(Moved::On)
        }
        Piece::Verify => verify::verify(conductor, claim).await,
        Piece::Adopt => adopt::adopt(conductor, claim).await,
        Piece::StartInspection => inspect::start(conductor, claim).await,
        Piece::TakeInspection => inspect::take(claim).await,
        Piece::FinishInspection => inspect::finish(conductor, claim).await,
        Piece::EndInspection => inspect::end(conductor, claim).await,
        Piece::PrepareClean => clean::prepare(conductor, claim).await,
        Piece::Resume => step_loop::resume(claim).await,
        Piece::LoadSteps(kind) => step_loop::load(conductor, claim, kind).await,
        Piece::EnterStep(kind) => step_loop::enter(claim, kind).await,
        Piece::RunStep(kind) => step_loop::run(conductor, claim, kind).await,
        Piece::PollStep(kind) => agent_steps::poll(conductor, claim, kind).await,
        Piece::Reboot(_) => step_loop::reboot(conductor, claim).await,
        Piece::EndClean => clean::end(conductor, claim).await,
        Piece::PrepareDeploy => deploy::prepare(conductor, claim).await,
        Piece::EndDeploy => deploy::end(conductor, claim).await,
        Piece::TearDown => tear_down::tear_down(conductor, claim).await,
        Piece::PrepareService => service::prepare(conductor, claim).await,
        Piece::EndService => service::end(conductor, claim).await,
        Piece::RestoreInstance => instance::restore(conductor, claim).await,
        Piece::EndPause(kind) => step_loop::end_pause(claim, kind).await,
        Piece::StartRescue => rescue::start(conductor, claim).await,
        Piece::ResumeRescue => rescue::resume(claim).await,
        Piece::FinalizeRescue => rescue::finalize(conductor, claim).await,
        Piece::Unrescue => rescue::unrescue(conductor, claim).await,
    }
}
