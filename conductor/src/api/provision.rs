//! `PUT /v1/nodes/{}/states/provision`: what can be said before the node is held (rest-api section 7.2, checks 1 to 4 and 6 to 15).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::nodes::node_of;
use super::provision_args::{deploy_steps, manual_steps};
use super::python;
use super::runbook_use;
use super::seen::target;
use super::states::location;
use super::version::Version;
use crate::boot::config_drive;
use crate::flow::request::{self, ProvisionRequest, RescuePassword};
use crate::model::fsm::{self, Event, State, event_of_verb};
use crate::model::node::Node;
use serde_json::Value;

/// Every argument.
const ARGS: &[&str] = &[
    "target",
    "configdrive",
    "clean_steps",
    "deploy_steps",
    "service_steps",
    "rescue_password",
    "disable_ramdisk",
    "runbook",
];

/// First version of each verb that 1.1 does not have.
const VERBS: &[(&str, u16)] = &[
    ("manage", 4),
    ("provide", 4),
    ("inspect", 6),
    ("abort", 13),
    ("clean", 15),
    ("adopt", 17),
    ("rescue", 38),
    ("unrescue", 38),
    ("deploy", 73),
    ("undeploy", 73),
];

/// Steps of one's own need a right of their own.
const STEP_RULES: &[(&str, &str)] = &[
    ("clean_steps", "baremetal:node:set_provision_state:clean_steps"),
    ("service_steps", "baremetal:node:set_provision_state:service_steps"),
];

/// The handler.
pub async fn provision(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::read(call, ARGS)?;
    let verb = args.required("target")?;
    for name in ["clean_steps", "deploy_steps", "service_steps"] {
        if let Some(value) = args.value(name).filter(|value| !value.is_array()) {
            let text = value.as_str().map_or_else(|| python::repr(value), cut);
            let types = "<class 'NoneType'>, <class 'list'>";
            return Err(ApiError::invalid(format!("Expected types {types} for {name}: {text}")));
        }
    }
    let node = node_of(call).await?;
    for (steps, rule) in STEP_RULES {
        if args.has(steps) {
            call.permit(rule, &target(&node))?;
        }
    }
    check_verb(call.version, verb, &node)?;
    let event = event_of_verb(verb).ok_or_else(|| refuse(verb, &node))?;
    if node.maintenance && matches!(event, Event::Deploy | Event::Rebuild) {
        let text = format!(
            "The provisioning operation can't be performed on node {} because it's in maintenance mode.",
            node.uuid
        );
        return Err(ApiError::invalid(text));
    }
    check_move(verb, event, &node)?;
    let mut request = arguments(call.version, &args, verb, event, &node)?;
    runbook_use::apply(call, &args, event, &node, &mut request).await?;
    required(&args, event, &request)?;
    request::provision(&call.conductor, &node.uuid.to_string(), request, &call.caller).await?;
    Ok(Answer::accepted_at(location(call)))
}

fn refuse(verb: &str, node: &Node) -> ApiError {
    ApiError::invalid(format!(
        "The requested action \"{}\" can not be performed on node \"{}\" while it is in state \"{}\".",
        cut(verb),
        node.uuid,
        node.provision_state
    ))
}

/// The move is possible now. Asked again with the node held; here it decides which of two refusals comes first.
fn check_move(verb: &str, event: Event, node: &Node) -> Result<(), ApiError> {
    if fsm::next(node.provision_state, event).is_ok() {
        return Ok(());
    }
    match &node.reservation {
        Some(held) => Err(ApiError::conflict(format!(
            "Node {} is locked by host {}, please retry after the current operation is completed.",
            node.uuid, held.owner
        ))),
        None => Err(refuse(verb, node)),
    }
}

fn check_verb(version: Version, verb: &str, node: &Node) -> Result<(), ApiError> {
    match VERBS.iter().find(|(name, _)| *name == verb) {
        Some((_, since)) if !version.has(*since) => Err(ApiError::too_new()),
        None if event_of_verb(verb).is_none() => Err(refuse(verb, node)),
        _ => Ok(()),
    }
}

fn check_abort(version: Version, node: &Node) -> Result<(), ApiError> {
    let since = match node.provision_state {
        State::InspectWait => 41,
        State::DeployWait => 110,
        _ => return Ok(()),
    };
    if version.has(since) { Ok(()) } else { Err(ApiError::too_new()) }
}

/// Which arguments fit which verb, in the order of the contract.
fn arguments(
    version: Version,
    args: &Args,
    verb: &str,
    event: Event,
    node: &Node,
) -> Result<ProvisionRequest, ApiError> {
    let mut request = ProvisionRequest { verb: verb.to_owned(), ..ProvisionRequest::default() };
    let gate = |since: u16| if version.has(since) { Ok(()) } else { Err(ApiError::too_new()) };
    // An empty list is no list.
    let steps_of =
        |name: &str| args.value(name).filter(|value| !matches!(value, Value::Array(list) if list.is_empty()));
    let deploys = matches!(event, Event::Deploy | Event::Rebuild);
    if let Some(drive) = args.value("configdrive").filter(|drive| !is_empty(drive)) {
        let rebuild = version.has(35);
        if !(event == Event::Deploy || event == Event::Rebuild && rebuild) {
            let targets = if rebuild { "active, rebuild" } else { "active" };
            let text = format!("Adding a config drive is only supported when setting provision state to {targets}");
            return Err(ApiError::invalid(text));
        }
        request.config_drive =
            config_drive::read(drive, version.0).map_err(|error| ApiError::invalid(error.to_string()))?;
    }
    if let Some(disable) = args.boolean("disable_ramdisk")? {
        match event {
            Event::Clean if version.has(70) => {}
            Event::Service if version.has(108) => {}
            Event::Clean | Event::Service => return Err(ApiError::too_new_argument("disable_ramdisk")),
            _ => return Err(ApiError::invalid("disable_ramdisk is supported only with manual cleaning or servicing")),
        }
        request.disable_ramdisk = disable;
    }
    let only = |name: &str, target: &str| {
        ApiError::invalid(format!("\"{name}\" is only valid when setting target provision state to {target}"))
    };
    if let Some(steps) = steps_of("clean_steps") {
        if event != Event::Clean {
            return Err(only("clean_steps", "clean"));
        }
        request.clean_steps = Some(manual_steps("clean_steps", steps)?);
    }
    if let Some(steps) = steps_of("deploy_steps") {
        if !version.has(69) {
            return Err(ApiError::too_new_before(69));
        }
        if !deploys {
            return Err(only("deploy_steps", "active or rebuild"));
        }
        request.deploy_steps = Some(deploy_steps(steps)?);
    }
    if args.value("rescue_password").is_some() {
        if event != Event::Rescue {
            return Err(only("rescue_password", "rescue"));
        }
        request.rescue_password = args.text("rescue_password")?.map(|word| RescuePassword(word.to_owned()));
    }
    match event {
        Event::Abort => check_abort(version, node)?,
        Event::Unhold => gate(85)?,
        _ => {}
    }
    if let Some(steps) = steps_of("service_steps") {
        if event != Event::Service {
            return Err(only("service_steps", "service"));
        }
        request.service_steps = Some(manual_steps("service_steps", steps)?);
    }
    if event == Event::Service {
        gate(87)?;
    }
    Ok(request)
}

/// What a verb cannot do without.
fn required(args: &Args, event: Event, request: &ProvisionRequest) -> Result<(), ApiError> {
    let missing = |name: &str, target: &str| {
        ApiError::invalid(format!("\"{name}\" is required when setting target provision state to {target}"))
    };
    match event {
        Event::Clean if request.clean_steps.is_none() => Err(missing("clean_steps", "clean")),
        Event::Service if request.service_steps.is_none() => Err(missing("service_steps", "service")),
        Event::Rescue if args.text("rescue_password")?.is_none_or(|word| word.trim().is_empty()) => {
            Err(ApiError::invalid(
                "A non-empty \"rescue_password\" is required when setting target provision state to rescue",
            ))
        }
        _ => Ok(()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
