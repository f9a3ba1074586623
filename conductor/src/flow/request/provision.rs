//! `PUT states/provision`: from the state checks on (rest-api section 7.2, checks 4, 5 and 16).

use super::{Caller, Conductor, ProvisionRequest, RequestError, find, refused, sign};
use crate::boot::config_drive::{self, ConfigDrive};
use crate::claim::Claim;
use crate::flow::templates::{self, TemplatesError};
use crate::flow::{clean, deploy, failure, image, let_go, machine, ramdisk, run};
use crate::model::fsm::{self, Event, State, event_of_verb};
use crate::model::node::{FlowNote, InterfaceKind, Node};
use crate::model::steps;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page};
use common::step::StepKind;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// Checks, takes the node, makes the first move. When this returns `Ok` the node is in the new state with target set and
/// last_error cleared (19.1), and the work goes on behind.
///
/// # Errors
/// As rest-api 7.2 lists them.
pub async fn provision(
    conductor: &Arc<Conductor>,
    ident: &str,
    request: ProvisionRequest,
    caller: &Caller,
) -> Result<(), RequestError> {
    let event = event_of_verb(&request.verb)
        .ok_or_else(|| RequestError::Invalid(format!("Provision state \"{}\" is not valid", request.verb)))?;
    let node = find(conductor, ident).await?;
    if node.maintenance && matches!(event, Event::Deploy | Event::Rebuild) {
        return Err(RequestError::Invalid(format!(
            "The provisioning operation can't be performed on node {} because it's in maintenance mode.",
            node.uuid
        )));
    }
    if fsm::next(node.provision_state, event).is_err() {
        return Err(match &node.reservation {
            Some(held) => locked(&node, &held.owner),
            None => refused(&request.verb, &node),
        });
    }
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, &request.verb).await?;
    let begun = begin(conductor, &mut claim, event, request, caller).await;
    match begun {
        Ok(Go::Run) => {
            let work = run(Arc::clone(conductor), claim);
            conductor.spawn(work);
            Ok(())
        }
        Ok(Go::Abort(text)) => {
            let shared = Arc::clone(conductor);
            conductor.spawn(async move {
                if let Err(error) = failure::fail(&shared, &mut claim, text, Event::Abort).await {
                    tracing::error!(node = %claim.node.uuid, %error, "the abort was not saved");
                }
                run(shared, claim).await;
            });
            Ok(())
        }
        Err(error) => {
            let_go(conductor, claim).await;
            Err(error)
        }
    }
}

/// What goes on behind.
enum Go {
    Run,
    Abort(String),
}

fn locked(node: &Node, owner: &str) -> RequestError {
    RequestError::Conflict(format!(
        "Node {} is locked by host {owner}, please retry after the current operation is completed.",
        node.uuid
    ))
}

async fn begin(
    conductor: &Conductor,
    claim: &mut Claim,
    event: Event,
    request: ProvisionRequest,
    caller: &Caller,
) -> Result<Go, RequestError> {
    // The record may have changed while the claim was waited for.
    if fsm::next(claim.node.provision_state, event).is_err() {
        return Err(refused(&request.verb, &claim.node));
    }
    if event == Event::Abort {
        return abort(claim, caller).await;
    }
    check(conductor, &claim.node, event).await?;
    let (stage_note, node) = (FlowNote::default(), &mut claim.node);
    let last_command = node.flow.last_command.take();
    node.flow = FlowNote { last_command, ..stage_note };
    sign(node, caller);
    let from = node.provision_state;
    if !(event == Event::Manage && from == State::CleanFailed) {
        node.last_error = None;
    }
    arguments(node, event, request)?;
    if matches!(event, Event::Deploy | Event::Rebuild) {
        templates::gather(conductor, node).await.map_err(|error| match error {
            TemplatesError::Refused(text) => RequestError::Invalid(text),
            TemplatesError::Store(error) => error.into(),
        })?;
        validate_deploy(conductor, node).await?;
    }
    if !conductor.has_worker() {
        return Err(RequestError::Unavailable(
            "Requested action cannot be performed due to lack of free conductor workers.".into(),
        ));
    }
    claim.step(event).map_err(|_| refused("provision", &claim.node))?;
    match event {
        Event::Clean => claim.node.target_provision_state = Some(State::Manageable),
        Event::Inspect => {
            claim.node.inspection_started_at = Some(Timestamp::now());
            claim.node.inspection_finished_at = None;
        }
        _ => {}
    }
    claim.save().await?;
    Ok(Go::Run)
}

/// What the verb needs of the node, its driver and the limits.
async fn check(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
    if node.protected && matches!(event, Event::Delete | Event::Rebuild) {
        return Err(RequestError::Forbidden(format!(
            "Node {} is protected and cannot be undeployed, rebuilt or deleted",
            node.uuid
        )));
    }
    if node.retired && event == Event::Provide {
        return Err(RequestError::Invalid(format!(
            "The providing operation can't be performed on node {} because it is retired.",
            node.uuid
        )));
    }
    let kind = match event {
        Event::Inspect => Some(InterfaceKind::Inspect),
        Event::Rescue | Event::Unrescue => Some(InterfaceKind::Rescue),
        _ => None,
    };
    if let Some(kind) = kind {
        let name = node.interface(kind);
        if name.is_empty() || name.starts_with("no-") || (kind == InterfaceKind::Rescue) {
            return Err(unsupported(node, kind.name()));
        }
    }
    if event == Event::Service {
        return Err(unsupported(node, "service"));
    }
    let (states, limit, word): (&[State], usize, &str) = match event {
        Event::Deploy | Event::Rebuild => {
            (&[State::Deploying, State::DeployWait], conductor.config.conductor.max_concurrent_deploy, "provisioning")
        }
        Event::Clean | Event::Provide | Event::Delete => (
            &[State::Deleting, State::Cleaning, State::CleanWait],
            conductor.config.conductor.max_concurrent_clean,
            "cleaning",
        ),
        _ => (&[], 0, ""),
    };
    if !states.is_empty() {
        let filter = NodeFilter { provision_states: states.to_vec(), include_children: true, ..NodeFilter::default() };
        let page = Page { limit: limit.saturating_add(1), ..Page::default() };
        if conductor.store.nodes(&Visible::Everything, &filter, &page).await?.len() >= limit.max(1) {
            return Err(RequestError::Unavailable(format!(
                "Unable to process request at this time. The concurrent action limit for {word} has been reached. Please contact your administrator and try again later."
            )));
        }
    }
    if !matches!(event, Event::Manage) {
        machine::open(conductor, node).map_err(|error| {
            RequestError::Invalid(format!("Failed to validate deploy or power info for node {}: {error}", node.uuid))
        })?;
    }
    if event == Event::Inspect
        && node.interface(InterfaceKind::Boot) == "ipxe"
        && node.interface(InterfaceKind::Inspect) == "agent"
    {
        ramdisk::files(conductor, node).map_err(|error| {
            RequestError::Invalid(format!(
                "Failed to validate inspection or power info for node {}: {error}",
                node.uuid
            ))
        })?;
    }
    Ok(())
}

fn unsupported(node: &Node, what: &str) -> RequestError {
    RequestError::Invalid(format!("Driver {} does not support {what} (disabled or not implemented).", node.driver))
}

/// Puts the arguments of the verb into the record.
fn arguments(node: &mut Node, event: Event, request: ProvisionRequest) -> Result<(), RequestError> {
    match event {
        Event::Deploy | Event::Rebuild => {
            node.driver_internal_info.remove(deploy::ASKED);
            if let Some(steps) = request.deploy_steps.filter(|steps| !steps.is_empty()) {
                node.driver_internal_info.insert(deploy::ASKED.into(), json!(steps));
            }
            let text = match request.config_drive {
                Some(ConfigDrive::Text(text)) => Some(text),
                Some(ConfigDrive::Parts(parts)) => Some(
                    config_drive::build(&parts, &node.uuid.to_string(), node.name.as_deref())
                        .map_err(|error| RequestError::Invalid(error.to_string()))?,
                ),
                None => None,
            };
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                node.instance_info.insert("configdrive".into(), json!(text));
            }
        }
        Event::Clean => {
            if request.disable_ramdisk {
                return Err(RequestError::Invalid(
                    "disable_ramdisk: no clean step of this node runs without the ramdisk; leave it out".into(),
                ));
            }
            node.driver_internal_info.insert(clean::ASKED.into(), json!(request.clean_steps.unwrap_or_default()));
        }
        Event::Provide | Event::Delete => {
            node.driver_internal_info.remove(clean::ASKED);
        }
        _ => {}
    }
    Ok(())
}

/// The deploy interface's validation, before the 202.
async fn validate_deploy(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    let failed = |text: String| {
        RequestError::Invalid(format!("Failed to validate deploy or power info for node {}: {text}", node.uuid))
    };
    if node.interface(InterfaceKind::Boot) == "ipxe" && node.interface(InterfaceKind::Deploy) != "fake" {
        ramdisk::files(conductor, node).map_err(failed)?;
    }
    if node.interface(InterfaceKind::Deploy) == "direct" {
        image::check(conductor, node).map_err(failed)?;
    }
    let asked = node.driver_internal_info.get(deploy::ASKED).and_then(serde_json::Value::as_array);
    let mut seen = std::collections::BTreeSet::new();
    for step in asked.into_iter().flatten() {
        let key = (step.get("interface").map(ToString::to_string), step.get("step").map(ToString::to_string));
        if !seen.insert(key) {
            return Err(RequestError::Invalid("Invalid deploy_steps: a step is given twice".into()));
        }
    }
    Ok(())
}

/// rest-api 17.4, 17.5 and 17.7, "Abort".
async fn abort(claim: &mut Claim, caller: &Caller) -> Result<Go, RequestError> {
    sign(&mut claim.node, caller);
    let (kind, word) = match claim.node.provision_state {
        State::CleanWait | State::CleanHold => (StepKind::Clean, "clean"),
        State::DeployWait | State::DeployHold => (StepKind::Deploy, "deploy"),
        _ => return Ok(Go::Abort("Inspection was aborted by request.".into())),
    };
    let Some(mut step) = steps::current(&claim.node, kind) else {
        return Ok(Go::Abort(format!("By request, the {word} operation was aborted")));
    };
    let label = steps::label(&step);
    if step.abortable == Some(true) || claim.node.flow.command.is_none() {
        return Ok(Go::Abort(format!(
            "By request, the {word} operation was aborted during or after the completion of step \"{label}\""
        )));
    }
    step.other.insert("abort_after".into(), json!(true));
    steps::set_current(&mut claim.node, kind, Some(&step));
    claim.save().await?;
    Ok(Go::Run)
}
