//! `clean.*`, `deploy.*`, `service.*`: which steps there are, and running one (agent-protocol section 8).

use super::call::{Call, Failure, panic_text};
use super::redact;
use super::refused::Refused;
use crate::step::{self, StepContext};
use crate::tls::Signer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::command::CommandStatus;
use common::erase_proof::{self, EraseProof, Signature, SignedProof};
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub fn get_clean(call: &Call) -> Result<Value, Failure> {
    get(StepKind::Clean, call)
}

pub fn get_deploy(call: &Call) -> Result<Value, Failure> {
    get(StepKind::Deploy, call)
}

pub fn get_service(call: &Call) -> Result<Value, Failure> {
    get(StepKind::Service, call)
}

pub fn execute_clean(call: &Call) -> Result<Value, Failure> {
    execute(StepKind::Clean, call)
}

pub fn execute_deploy(call: &Call) -> Result<Value, Failure> {
    execute(StepKind::Deploy, call)
}

pub fn execute_service(call: &Call) -> Result<Value, Failure> {
    execute(StepKind::Service, call)
}

/// `step` must be an object, `node` and `ports` of their types if there.
pub fn check(params: &Map<String, Value>) -> Result<(), Refused> {
    let usable = |key: &str, right: fn(&Value) -> bool, required: bool| match params.get(key) {
        Some(Value::Null) | None if !required => Ok(()),
        Some(value) if right(value) => Ok(()),
        Some(_) => Err(Refused::Params(format!("`{key}` has the wrong type"))),
        None => Err(Refused::Params(format!("`{key}` is missing"))),
    };
    usable("step", Value::is_object, true)?;
    usable("node", Value::is_object, false)?;
    usable("ports", Value::is_array, false)
}

fn get(kind: StepKind, call: &Call) -> Result<Value, Failure> {
    if let Some(Value::Object(node)) = call.params.get("node") {
        call.agent.facts().set_node(node);
    }
    Ok(step::offered_by(kind, &call.agent.facts().rules()).to_value(kind))
}

fn execute(kind: StepKind, call: &Call) -> Result<Value, Failure> {
    let node = call.params.get("node").and_then(Value::as_object).cloned().unwrap_or_default();
    if !node.is_empty() {
        call.agent.facts().set_node(&node);
    }
    let version_key = format!("{}_version", kind.word());
    compare_versions(kind, call.params.get(&version_key))?;
    let given = call.params.get("step").and_then(Value::as_object).cloned().unwrap_or_default();
    let wanted = read_step(kind, &given, &call.params, &version_key)?;
    let context = StepContext {
        node,
        ports: call.params.get("ports").and_then(Value::as_array).cloned().unwrap_or_default(),
        progress: call.progress.clone(),
        rules: call.agent.facts().rules(),
        evidence: Default::default(),
    };
    tracing::info!(step = %wanted.step, interface = %wanted.interface, kind = kind.word(), "step begins");
    let outcome = catch_unwind(AssertUnwindSafe(|| step::execute(kind, &wanted, &context)))
        .unwrap_or_else(|panic| Err(unexpected(kind, &wanted.step, panic_text(&*panic))));
    let mut result = result_of(kind, outcome?, &given);
    let node_uuid = context.node.get("uuid").and_then(Value::as_str).unwrap_or_default();
    if let Some(document) = context.evidence.document(node_uuid, &call.id, &wanted.step) {
        let signed = sign(&document, call.agent.facts().signer().as_ref());
        result[erase_proof::KEY] = json!(signed);
    }
    Ok(result)
}

/// A proof with the signature of this boot's key; without a key (plain HTTP) it is none for others than this site.
fn sign(document: &EraseProof, signer: Option<&Signer>) -> SignedProof {
    let document = json!(document);
    let signature = signer.and_then(|signer| match signer.sign(erase_proof::canonical(&document).as_bytes()) {
        Ok((algorithm, value)) => Some(Signature { algorithm: algorithm.into(), value: BASE64.encode(value) }),
        Err(cause) => {
            tracing::error!(error = %cause, "the proof of the erase is not signed");
            None
        }
    });
    SignedProof { document, signature }
}

/// `{"clean_result": .., "clean_step": ..}`; the step is the one that was given, whatever keys it has.
fn result_of(kind: StepKind, result: Value, given: &Map<String, Value>) -> Value {
    let word = kind.word();
    json!({ format!("{word}_result"): result, format!("{word}_step"): redact::step(given) })
}

/// The step, with unknown extra parameters of the command among its arguments.
fn read_step(
    kind: StepKind,
    given: &Map<String, Value>,
    params: &Map<String, Value>,
    version_key: &str,
) -> Result<Step, Failure> {
    let fail = |why: String| Failure::from(step_failed(kind, why));
    let mut given = given.clone();
    if given.get("step").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Failure::execution(format!("the {} command names no step: `step.step` is missing", kind.word())));
    }
    given.entry("interface").or_insert_with(|| "deploy".into());
    let mut step: Step = serde_json::from_value(Value::Object(given))
        .map_err(|cause| fail(format!("the step cannot be read: {cause}")))?;
    for (key, value) in params {
        if !["step", "node", "ports", version_key].contains(&key.as_str()) {
            step.args.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(step)
}

/// A version map that differs from ours means: the conductor planned with another agent (section 10.6). Null means: do not compare.
fn compare_versions(kind: StepKind, planned: Option<&Value>) -> Result<(), Failure> {
    let Some(planned) = planned.filter(|planned| !planned.is_null()) else { return Ok(()) };
    let ours = step::offered(kind).hardware_manager_version;
    if serde_json::from_value::<BTreeMap<String, String>>(planned.clone()).is_ok_and(|planned| planned == ours) {
        return Ok(());
    }
    let message = "Hardware managers version mismatch, reload agent with correct version";
    let mut failure = Failure::typed(
        "VersionMismatch",
        409,
        message,
        format!("this agent has {ours:?}, the step was planned with {planned}"),
    );
    failure.status = CommandStatus::VersionMismatch;
    Err(failure)
}

fn unexpected(kind: StepKind, name: &str, text: &str) -> step::StepError {
    step_failed(kind, format!("Unexpected exception performing {} step {name}. panic: {text}", kind.word()))
}

fn step_failed(kind: StepKind, details: String) -> step::StepError {
    let (kind, message) = match kind {
        StepKind::Clean => ("CleaningError", "Clean step failed"),
        StepKind::Deploy => ("DeploymentError", "Deploy step failed"),
        StepKind::Service => ("ServicingError", "Service step failed"),
    };
    step::StepError { kind, code: 500, message, details }
}
