//! `abort` and `unhold` (rest-api 16, 17.4, 17.5, 17.7, 17.8).

use super::{Caller, RequestError, sign};
use crate::claim::Claim;
use crate::flow::step_loop::aborted_text;
use crate::model::fsm::{Event, State};
use crate::model::node::Pause;
use crate::model::steps;
use common::step::StepKind;

/// What an abort comes to.
pub enum Abort {
    /// Now, with this text.
    Now(String),
    /// When the step that runs is over.
    AfterStep,
}

/// Decides it, and marks the step that must end first.
///
/// # Errors
/// 409 for a failed service in maintenance, and the store's.
pub async fn abort(claim: &mut Claim, caller: &Caller) -> Result<Abort, RequestError> {
    if claim.node.provision_state == State::ServiceFailed && claim.node.maintenance {
        return Err(RequestError::Conflict(format!(
            "Can not abort service on node \"{}\" while it is in maintenance mode. Please remove the node from maintenance \
             prior to issuing the request to abort the service operation.",
            claim.node.uuid
        )));
    }
    sign(&mut claim.node, caller);
    let kind = match claim.node.provision_state {
        State::CleanWait | State::CleanHold => StepKind::Clean,
        State::DeployWait | State::DeployHold => StepKind::Deploy,
        State::ServiceWait | State::ServiceHold | State::ServiceFailed => StepKind::Service,
        State::RescueWait => return Ok(Abort::Now("By request, the rescue operation was aborted.".into())),
        _ => return Ok(Abort::Now("Inspection was aborted by request.".into())),
    };
    let Some(mut step) = steps::current(&claim.node, kind) else { return Ok(Abort::Now(aborted_text(kind, None))) };
    let flow = &claim.node.flow;
    let runs = flow.command.is_some() || flow.pause == Some(Pause::Outside);
    if step.abortable == Some(true) || !runs {
        return Ok(Abort::Now(aborted_text(kind, Some(&step))));
    }
    step.other.insert("abort_after".into(), true.into());
    steps::set_current(&mut claim.node, kind, Some(&step));
    claim.save().await?;
    Ok(Abort::AfterStep)
}

/// Releases a hold. The wait that follows is over at once: the step that held is done.
///
/// # Errors
/// The store's.
pub async fn unhold(claim: &mut Claim, caller: &Caller) -> Result<(), RequestError> {
    sign(&mut claim.node, caller);
    claim.node.flow.pause = None;
    claim.step(Event::Unhold).map_err(|refused| RequestError::Invalid(refused.to_string()))?;
    claim.save().await?;
    Ok(())
}
