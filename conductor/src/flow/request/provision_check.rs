//! What a verb needs of the node, its driver and the limits, before the node moves (rest-api 7.2, check 16).

use super::{Conductor, ProvisionRequest, RequestError};
use crate::flow::{deploy, here, image, machine, ramdisk};
use crate::model::fsm::{Event, State};
use crate::model::node::{InterfaceKind, Node};
use crate::policy::Visible;
use crate::store::{NodeFilter, Page};
use common::step::StepKind;
use serde_json::Value;

/// Everything that does not depend on the arguments.
///
/// # Errors
/// As rest-api 7.2 lists them.
pub async fn check(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
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
    maintenance(conductor, node, event)?;
    if event == Event::Inspect {
        let name = node.interface(InterfaceKind::Inspect);
        if name.is_empty() || name.starts_with("no-") {
            return Err(unsupported(node, "inspect"));
        }
    }
    limits(conductor, event).await?;
    if !matches!(event, Event::Manage | Event::Rescue | Event::Unrescue) {
        machine::open(conductor, node).map_err(|error| {
            let what = match event {
                Event::Clean => format!("Validation of node {} for cleaning failed", node.uuid),
                Event::Service => format!("Validation of node {} for servicing failed", node.uuid),
                _ => format!("Failed to validate deploy or power info for node {}", node.uuid),
            };
            RequestError::Invalid(format!("{what}: {error}"))
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

/// Which verbs a node in maintenance refuses.
fn maintenance(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
    let operation = match event {
        Event::Clean => "cleaning",
        Event::Service => "service",
        Event::Rescue => "rescuing",
        Event::Unrescue => "unrescuing",
        Event::Provide if !conductor.config.conductor.allow_provisioning_in_maintenance => "providing",
        _ => return Ok(()),
    };
    if node.maintenance {
        return Err(RequestError::Invalid(format!(
            "The {operation} operation can't be performed on node {} because it's in maintenance mode.",
            node.uuid
        )));
    }
    Ok(())
}

async fn limits(conductor: &Conductor, event: Event) -> Result<(), RequestError> {
    let options = &conductor.config.conductor;
    let (states, limit, word): (&[State], usize, &str) = match event {
        Event::Deploy | Event::Rebuild => {
            (&[State::Deploying, State::DeployWait], options.max_concurrent_deploy, "provisioning")
        }
        Event::Clean | Event::Provide | Event::Delete => {
            (&[State::Deleting, State::Cleaning, State::CleanWait], options.max_concurrent_clean, "cleaning")
        }
        _ => return Ok(()),
    };
    let filter = NodeFilter { provision_states: states.to_vec(), include_children: true, ..NodeFilter::default() };
    let page = Page { limit: limit.saturating_add(1), ..Page::default() };
    if conductor.store.nodes(&Visible::Everything, &filter, &page).await?.len() >= limit.max(1) {
        return Err(RequestError::Unavailable(format!(
            "Unable to process request at this time. The concurrent action limit for {word} has been reached. Please contact your administrator and try again later."
        )));
    }
    Ok(())
}

fn unsupported(node: &Node, what: &str) -> RequestError {
    RequestError::Invalid(format!("Driver {} does not support {what} (disabled or not implemented).", node.driver))
}

/// The deploy interface's validation, before the 202.
///
/// # Errors
/// 400 with what is missing or wrong.
pub fn deployment(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    let failed = |text: String| {
        RequestError::Invalid(format!("Failed to validate deploy or power info for node {}: {text}", node.uuid))
    };
    if node.interface(InterfaceKind::Boot) == "ipxe" && node.interface(InterfaceKind::Deploy) != "fake" {
        ramdisk::files(conductor, node).map_err(failed)?;
    }
    if node.interface(InterfaceKind::Deploy) == "direct" {
        image::check(conductor, node).map_err(failed)?;
    }
    deploy::build_list(conductor, node, None).map(drop).map_err(failed)
}

/// Steps that the operator forbids.
///
/// # Errors
/// 400 that names step and option.
pub fn disallowed(conductor: &Conductor, request: &ProvisionRequest) -> Result<(), RequestError> {
    for (kind, steps) in [
        (StepKind::Clean, &request.clean_steps),
        (StepKind::Deploy, &request.deploy_steps),
        (StepKind::Service, &request.service_steps),
    ] {
        for step in steps.iter().flatten() {
            let word = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
            let label = format!("{}.{}", word("interface"), word("step"));
            if here::disallowed(conductor, kind).contains(&label) {
                let kind = kind.word();
                return Err(RequestError::Invalid(format!(
                    "{kind} step '{label}' is not allowed. Disallowed by operator configuration [api]disallow_{kind}_steps."
                )));
            }
        }
    }
    Ok(())
}

/// The power and rescue interfaces' validation, before the 202. The reference answers 500 for all of it.
///
/// # Errors
/// 500 with the contract's sentence.
pub fn rescue(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
    let (what, kind) =
        if event == Event::Rescue { ("rescue", InterfaceKind::Rescue) } else { ("unrescue", InterfaceKind::Power) };
    let failed = |text: String| {
        let instance = node.instance_uuid.as_deref().unwrap_or("None");
        RequestError::Internal(format!(
            "Failed to {what} instance {instance} for node {}: Validation failed: {text}",
            node.uuid
        ))
    };
    let lacks =
        |what: &str| failed(format!("Driver {} does not support {what} (disabled or not implemented).", node.driver));
    machine::open(conductor, node).map_err(|error| failed(error.to_string()))?;
    let name = node.interface(InterfaceKind::Rescue);
    if name.is_empty() || name.starts_with("no-") {
        return Err(lacks("rescue"));
    }
    if kind == InterfaceKind::Rescue && name == "agent" {
        if node.interface(InterfaceKind::Boot) == "fake" {
            return Err(lacks("validate_rescue"));
        }
        ramdisk::files_for(conductor, node, ramdisk::Purpose::Rescue).map_err(failed)?;
    }
    Ok(())
}
