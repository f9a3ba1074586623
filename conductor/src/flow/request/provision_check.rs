//! What a verb needs of the node, its driver and the limits, before the node moves (rest-api 7.2, check 16).

use super::{Conductor, ProvisionRequest, RequestError};
use crate::driver::interface::is_built;
use crate::driver::traits::DriverError;
use crate::flow::{deploy, here, inspect, machine, ramdisk};
use crate::model::fsm::{Event, State};
use crate::model::node::{InterfaceKind, Node};
use crate::store::NodeFilter;
use common::step::StepKind;
use serde_json::Value;

/// Everything that does not depend on the arguments: what the reference looks at before it takes a verb. The rest of the
/// verbs find out behind their 202, and fail in the node's record.
///
/// # Errors
/// As rest-api 7.2 lists them.
pub fn check(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
    if node.protected && matches!(event, Event::Delete | Event::Rebuild) {
        return Err(RequestError::Forbidden(format!(
            "Node {} is protected and cannot be undeployed, rebuilt or deleted",
            node.uuid
        )));
    }
    maintenance(conductor, node, event)?;
    if node.retired && event == Event::Provide {
        return Err(RequestError::Invalid(format!(
            "The providing operation can't be performed on node {} because it is retired.",
            node.uuid
        )));
    }
    if matches!(event, Event::Deploy | Event::Rebuild) {
        boot_mode(conductor, node)?;
    }
    match event {
        Event::Clean | Event::Service | Event::Deploy | Event::Rebuild | Event::Delete | Event::Inspect => {
            power(conductor, node, event)?;
        }
        Event::Rescue | Event::Unrescue => rescue(conductor, node, event)?,
        _ => {}
    }
    Ok(())
}

/// The operator may have closed a boot mode.
fn boot_mode(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    let mode = node.properties.text("boot_mode").unwrap_or_default().trim().to_lowercase();
    if !conductor.config.conductor.disallowed_deployment_boot_modes.contains(&mode) {
        return Ok(());
    }
    Err(RequestError::Invalid(format!("'{mode}' boot mode is not allowed for provisioning operation.")))
}

/// The power interface's validation, in the words of each verb.
fn power(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
    let Err(error) = machine::check_power(conductor, node) else { return Ok(()) };
    // What an interface cannot do at all has its own sentence, whatever was asked for.
    let DriverError::Invalid(text) = &error else { return Err(error.into()) };
    Err(match event {
        Event::Clean => RequestError::Invalid(format!("Validation of node {} for cleaning failed: {text}", node.uuid)),
        Event::Service => {
            RequestError::Invalid(format!("Validation of node {} for servicing failed: {text}", node.uuid))
        }
        Event::Deploy | Event::Rebuild => undeployable(node, text),
        // The reference answers 500 here.
        Event::Delete => RequestError::Internal(format!(
            "Failed to validate power driver interface. Can not delete instance. Error: {text}"
        )),
        _ => error.into(),
    })
}

/// The inspect interface's validation.
///
/// # Errors
/// 400 for what it does not support or lacks.
pub async fn inspection(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    let name = node.interface(InterfaceKind::Inspect);
    if !is_built(InterfaceKind::Inspect, name) {
        return Err(unsupported(node, "inspect"));
    }
    if name == "agent" && conductor.config.inspector.require_managed_boot {
        inspect::managed(conductor, node).await?;
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

/// How many nodes may be deployed or cleaned at the same time. Asked first, and without the node: it costs nothing.
///
/// # Errors
/// 503 with the contract's sentence, which does not tell the limit.
pub async fn limits(conductor: &Conductor, event: Event) -> Result<(), RequestError> {
    let options = &conductor.config.conductor;
    let (states, limit, word): (&[State], usize, &str) = match event {
        Event::Deploy | Event::Rebuild => (DEPLOYED, options.max_concurrent_deploy, "provisioning"),
        Event::Clean => (CLEANED, options.max_concurrent_clean, "cleaning"),
        Event::Delete => (CLEANED, options.max_concurrent_clean, "unprovisioning"),
        _ => return Ok(()),
    };
    let limit = limit.max(1);
    let busy = NodeFilter {
        provision_states: states.to_vec(),
        conductor_group: options.max_concurrent_per_conductor_group.then(|| options.conductor_group.clone()),
        include_children: true,
        ..NodeFilter::default()
    };
    if conductor.store.count_nodes(&busy, limit).await? < limit {
        return Ok(());
    }
    Err(RequestError::Unavailable(format!(
        "Unable to process request at this time. The concurrent action limit for {word} has been reached. Please contact your administrator and try again later."
    )))
}

/// What counts as a deployment.
const DEPLOYED: &[State] = &[State::Deploying, State::DeployWait];
/// What counts as a cleaning: each undeployment becomes one.
const CLEANED: &[State] = &[State::Deleting, State::Cleaning, State::CleanWait];

fn unsupported(node: &Node, what: &str) -> RequestError {
    RequestError::Invalid(format!("Driver {} does not support {what} (disabled or not implemented).", node.driver))
}

/// 400 for a deployment that cannot be.
pub fn undeployable(node: &Node, text: &str) -> RequestError {
    RequestError::Invalid(format!("Failed to validate deploy or power info for node {}: {text}", node.uuid))
}

/// The deploy interface's validation, before the 202.
///
/// # Errors
/// 400 with what is missing or wrong.
pub fn deployment(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    let failed = |text: String| undeployable(node, &text);
    if !is_built(InterfaceKind::Deploy, node.interface(InterfaceKind::Deploy)) {
        return Err(unsupported(node, "deploy"));
    }
    if node.interface(InterfaceKind::Boot) == "ipxe" && node.interface(InterfaceKind::Deploy) != "fake" {
        ramdisk::files(conductor, node).map_err(failed)?;
    }
    deploy::check(conductor, node).map_err(failed)?;
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
fn rescue(conductor: &Conductor, node: &Node, event: Event) -> Result<(), RequestError> {
    let what = if event == Event::Rescue { "rescue" } else { "unrescue" };
    let failed = |text: String| {
        let instance = node.instance_uuid.as_deref().unwrap_or("None");
        RequestError::Internal(format!(
            "Failed to {what} instance {instance} for node {}: Validation failed: {text}",
            node.uuid
        ))
    };
    let lacks =
        |what: &str| failed(format!("Driver {} does not support {what} (disabled or not implemented).", node.driver));
    match machine::check_power(conductor, node) {
        // For an unrescue this is not caught there.
        Err(error @ DriverError::Unsupported(_)) if event == Event::Unrescue => return Err(error.into()),
        Err(error) => return Err(failed(error.to_string())),
        Ok(()) => {}
    }
    let name = node.interface(InterfaceKind::Rescue);
    if event == Event::Unrescue {
        return Ok(());
    }
    if !is_built(InterfaceKind::Rescue, name) {
        return Err(lacks("rescue"));
    }
    if name == "agent" {
        if node.interface(InterfaceKind::Boot) == "fake" {
            return Err(lacks("validate_rescue"));
        }
        ramdisk::files_for(conductor, node, ramdisk::Purpose::Rescue).map_err(failed)?;
    }
    Ok(())
}
