//! `abort` and `unhold` (rest-api 16, 17.4, 17.5, 17.7, 17.8).

use super::{Caller, RequestError, sign};
use crate::claim::Claim;
use crate::flow::step_loop::aborted_text;
use crate::model::flow_note::Pause;
use crate::model::fsm::{Event, State};
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::steps;
use common::step::StepKind;

/// Decides whether it is done now or when the step that runs is over, and writes the decision down: what was answered 202 is
/// done also by the process after this one.
///
/// # Errors
/// 409 for a failed service in maintenance, and the store's.
pub async fn abort(claim: &mut Claim, caller: &Caller) -> Result<(), RequestError> {
    if claim.node.provision_state == State::ServiceFailed && claim.node.maintenance {
        return Err(RequestError::Conflict(format!(
            "Can not abort service on node \"{}\" while it is in maintenance mode. Please remove the node from maintenance \
             prior to issuing the request to abort the service operation.",
            claim.node.uuid
        )));
    }
    sign(&mut claim.node, caller);
    match text(&mut claim.node) {
        Some(text) => claim.node.flow.abort = Some(text),
        None => claim.note(
            Severity::Info,
            "provision",
            "to be aborted when the step that runs is over, which cannot be interrupted",
        ),
    }
    claim.save().await?;
    Ok(())
}

/// What is aborted now; `None`: the step that runs must end first, and is marked.
fn text(node: &mut Node) -> Option<String> {
    let kind = match node.provision_state {
        State::CleanWait | State::CleanHold => StepKind::Clean,
        State::DeployWait | State::DeployHold => StepKind::Deploy,
        State::ServiceWait | State::ServiceHold | State::ServiceFailed => StepKind::Service,
        State::RescueWait => return Some("By request, the rescue operation was aborted.".into()),
        _ => return Some("Inspection was aborted by request.".into()),
    };
    let Some(mut step) = steps::current(node, kind) else { return Some(aborted_text(kind, None)) };
    let runs = node.flow.command.is_some() || node.flow.pause == Some(Pause::Outside);
    if step.abortable == Some(true) || !runs {
        return Some(aborted_text(kind, Some(&step)));
    }
    step.other.insert("abort_after".into(), true.into());
    steps::set_current(node, kind, Some(&step));
    None
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
