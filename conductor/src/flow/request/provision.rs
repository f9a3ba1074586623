//! `PUT states/provision`: from the state checks on (rest-api section 7.2, checks 4, 5 and 16).

use super::{
    Caller, Conductor, ProvisionRequest, RequestError, RescuePassword, abort, find, locked, provision_check, refused,
    sign,
};
use crate::boot::config_drive::{self, ConfigDrive};
use crate::claim::Claim;
use crate::flow::templates::{self, TemplatesError};
use crate::flow::{autodetect, clean, deploy, let_go, rescue, run, service};
use crate::model::flow_note::FlowNote;
use crate::model::fsm::{self, Event, State, event_of_verb};
use crate::model::node::Node;
use crate::model::sha_crypt::{self, SALT, Scheme};
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
    provision_check::limits(conductor, event).await?;
    // Thousands of rounds of a digest: not while the node is held, and not on a thread that serves others.
    let hash = match request.rescue_password.clone() {
        Some(password) => Some(hashed(conductor, password).await?),
        None => None,
    };
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, &request.verb).await?;
    let begun = begin(conductor, &mut claim, event, request, hash, caller).await;
    match begun {
        Ok(()) => {
            let work = run(Arc::clone(conductor), claim);
            conductor.spawn(work);
            Ok(())
        }
        Err(error) => {
            let_go(conductor, claim).await;
            Err(error)
        }
    }
}

async fn hashed(conductor: &Conductor, password: RescuePassword) -> Result<String, RequestError> {
    let scheme =
        Scheme::from_name(&conductor.config.conductor.rescue_password_hash_algorithm).unwrap_or(Scheme::Sha256);
    let random: [u8; SALT] = rand::random();
    let work = tokio::task::spawn_blocking(move || sha_crypt::hash(scheme, &password.0, random));
    let hash = work.await.map_err(|error| error.to_string()).and_then(|hash| hash);
    hash.map_err(|error| RequestError::Internal(format!("the rescue password could not be hashed: {error}")))
}

async fn begin(
    conductor: &Conductor,
    claim: &mut Claim,
    event: Event,
    request: ProvisionRequest,
    hash: Option<String>,
    caller: &Caller,
) -> Result<(), RequestError> {
    // The record may have changed while the claim was waited for.
    if fsm::next(claim.node.provision_state, event).is_err() {
        return Err(refused(&request.verb, &claim.node));
    }
    match event {
        Event::Abort => return abort::abort(claim, caller).await,
        Event::Unhold => return abort::unhold(claim, caller).await,
        _ => {}
    }
    provision_check::check(conductor, &claim.node, event)?;
    if event == Event::Inspect {
        provision_check::inspection(conductor, &claim.node).await?;
    }
    provision_check::disallowed(conductor, &request)?;
    let node = &mut claim.node;
    let last_command = node.flow.last_command.take();
    // A service that follows another one may find its ramdisk still running.
    let ramdisk = node.flow.ramdisk && event == Event::Service;
    node.flow = FlowNote { last_command, ramdisk, kept: node.flow.kept, ..FlowNote::default() };
    sign(node, caller);
    let from = node.provision_state;
    if !(event == Event::Manage && from == State::CleanFailed) {
        node.last_error = None;
    }
    if event == Event::Deploy {
        lease_out(&conductor.config.conductor.automatic_lessee_source, node, caller.project());
    }
    arguments(node, event, request, hash)?;
    if matches!(event, Event::Deploy | Event::Rebuild) {
        autodetect::switch(conductor, node);
        templates::gather(conductor, node).await.map_err(|error| match error {
            TemplatesError::Refused(text) => provision_check::undeployable(node, &text),
            TemplatesError::Store(error) => error.into(),
        })?;
        provision_check::deployment(conductor, node)?;
    }
    if !conductor.has_worker() {
        return Err(RequestError::Unavailable(
            "Requested action cannot be performed due to lack of free conductor workers.".into(),
        ));
    }
    claim.step(event).map_err(|_| refused("provision", &claim.node))?;
    if event == Event::Clean {
        claim.node.target_provision_state = Some(State::Manageable);
    }
    claim.save().await?;
    Ok(())
}

/// A node without a lessee is its instance's project's from now on, until it is torn down.
fn lease_out(source: &str, node: &mut Node, asker: Option<&str>) {
    let project = match source {
        "instance" => node.instance_info.text("project_id"),
        "request" => asker,
        _ => None,
    };
    if let (Some(project), None) = (project.filter(|project| !project.is_empty()), &node.lessee) {
        node.lessee = Some(project.into());
        node.driver_internal_info.insert("automatic_lessee".into(), json!(true));
    }
}

/// Puts the arguments of the verb into the record.
fn arguments(
    node: &mut Node,
    event: Event,
    request: ProvisionRequest,
    hash: Option<String>,
) -> Result<(), RequestError> {
    let info = &mut node.driver_internal_info;
    match event {
        Event::Deploy | Event::Rebuild => {
            info.remove(deploy::ASKED);
            if let Some(steps) = request.deploy_steps.filter(|steps| !steps.is_empty()) {
                info.insert(deploy::ASKED.into(), json!(steps));
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
            info.insert(clean::ASKED.into(), json!(request.clean_steps.unwrap_or_default()));
            info.insert(clean::NO_RAMDISK.into(), json!(request.disable_ramdisk));
        }
        Event::Service => {
            info.insert(service::ASKED.into(), json!(request.service_steps.unwrap_or_default()));
            info.insert(service::NO_RAMDISK.into(), json!(request.disable_ramdisk));
        }
        Event::Rescue => {
            rescue::forget_password(node);
            let hash = hash.ok_or_else(|| RequestError::Invalid("a rescue needs a password".into()))?;
            node.instance_info.insert(rescue::HASH.into(), json!(hash));
        }
        Event::Provide | Event::Delete => {
            info.remove(clean::ASKED);
            info.remove(clean::NO_RAMDISK);
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Node, json, lease_out};

    #[test]
    fn a_node_is_leased_to_the_project_of_its_instance_or_of_who_asks_and_never_taken_away() {
        let leased = |source: &str, lessee: Option<&str>| {
            let mut node = Node { lessee: lessee.map(str::to_owned), ..Node::default() };
            node.instance_info.insert("project_id".into(), json!("tenant"));
            lease_out(source, &mut node, Some("asker"));
            (node.lessee, node.driver_internal_info.flag("automatic_lessee"))
        };
        assert_eq!(leased("instance", None), (Some("tenant".into()), Some(true)));
        assert_eq!(leased("request", None), (Some("asker".into()), Some(true)));
        assert_eq!(leased("none", None), (None, None));
        assert_eq!(leased("instance", Some("other")), (Some("other".into()), None));
    }
}
