//! What the simulated agent does when it is told to: steps with their times and faults, power off, logs.

use super::agent::Agent;
use super::faults::Proof;
use super::machine::lock;
use super::offer;
use base64::Engine;
use common::command::{CommandError, CommandRequest};
use common::erase_proof::canonical;
use common::step::{OfferedSteps, Step, StepKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The commands that the reference agent answers at once.
const QUICK: &[&str] = &[
    "clean.get_clean_steps",
    "deploy.get_deploy_steps",
    "service.get_service_steps",
    "rescue.finalize_rescue",
    "standby.get_partition_uuids",
    "standby.sync",
];

/// It ends before it is answered.
pub fn is_quick(name: &str) -> bool {
    QUICK.contains(&name)
}

/// Runs a command whose entry was made, and ends the entry.
pub async fn run(agent: Arc<Agent>, id: String, command: CommandRequest) {
    let outcome = match command.name.as_str() {
        "clean.get_clean_steps" => Ok(offered(StepKind::Clean, lock(&agent.body.clean_steps).clone())),
        "deploy.get_deploy_steps" => Ok(offered(StepKind::Deploy, lock(&agent.body.deploy_steps).clone())),
        "service.get_service_steps" => Ok(offered(StepKind::Service, lock(&agent.body.service_steps).clone())),
        "service.execute_service_step" => step(&agent, StepKind::Service, &id, &command.params).await,
        "rescue.finalize_rescue" => finalize_rescue(&agent, &command.params),
        "clean.execute_clean_step" => step(&agent, StepKind::Clean, &id, &command.params).await,
        "deploy.execute_deploy_step" => step(&agent, StepKind::Deploy, &id, &command.params).await,
        "standby.get_partition_uuids" => Ok(json!({"partitions": {}, "root uuid": "0x6f2b3c1d"})),
        "standby.sync" => Ok(Value::Null),
        "image.install_bootloader" => {
            tokio::time::sleep(agent.body.time_of("install_bootloader")).await;
            agent.body.note("install_bootloader");
            Ok(Value::Null)
        }
        "log.collect_system_logs" => {
            agent.body.note("logs");
            Ok(json!({"system_logs": base64::engine::general_purpose::STANDARD.encode("what the ramdisk said")}))
        }
        "standby.power_off" => {
            agent.body.note("power_off");
            power_off(&agent);
            Ok(Value::Null)
        }
        other => Err(error("CommandExecutionError", format!("Unknown command: {other}"))),
    };
    agent.board.end(&id, outcome);
}

/// Takes the hash, answers, and then leaves for good, as the reference agent does.
fn finalize_rescue(agent: &Arc<Agent>, params: &Map<String, Value>) -> Result<Value, CommandError> {
    if let Some(text) = lock(&agent.body.faults).fails.get("finalize_rescue") {
        return Err(error("CommandExecutionError", text.clone()));
    }
    let hash = params.get("rescue_password").and_then(Value::as_str).unwrap_or_default();
    let scheme: String = hash.chars().take(3).collect();
    agent.body.note(format!("finalize_rescue {scheme} hashed={}", params.get("hashed").cloned().unwrap_or_default()));
    let agent = Arc::clone(agent);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        agent.silent.store(true, Ordering::Relaxed);
    });
    Ok(Value::Null)
}

/// As a real machine: the answer leaves first.
fn power_off(agent: &Arc<Agent>) {
    if lock(&agent.body.faults).ignores_power_off {
        return;
    }
    let agent = Arc::clone(agent);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if !agent.boot.is_cancelled() {
            agent.body.switch_off();
        }
    });
}

fn offered(kind: StepKind, steps: Vec<Step>) -> Value {
    OfferedSteps {
        steps: BTreeMap::from([(offer::MANAGER.to_owned(), steps)]),
        hardware_manager_version: BTreeMap::from([(offer::MANAGER.to_owned(), "1.0".to_owned())]),
    }
    .to_value(kind)
}

async fn step(
    agent: &Arc<Agent>,
    kind: StepKind,
    id: &str,
    params: &Map<String, Value>,
) -> Result<Value, CommandError> {
    let step = params.get("step").cloned().unwrap_or_default();
    let name = step["step"].as_str().unwrap_or_default().to_owned();
    let args = step["args"].as_object().filter(|args| !args.is_empty() && kind != StepKind::Deploy);
    let shown = args.map_or(String::new(), |args| format!(" {}", json!(args)));
    agent.body.note(format!("{} {name}{shown}", kind.word()));
    let time = agent.body.time_of(&name);
    tokio::time::sleep(time / 2).await;
    trouble(agent, &name).await;
    tokio::time::sleep(time / 2).await;
    let fails = lock(&agent.body.faults).fails.get(&name).cloned();
    if let Some(text) = fails {
        let name = match kind {
            StepKind::Clean => "CleaningError",
            StepKind::Deploy => "DeploymentError",
            StepKind::Service => "ServicingError",
        };
        return Err(error(name, text));
    }
    let mut image = None;
    match name.as_str() {
        "write_image" => image = step["args"]["image_info"]["id"].as_str().map(str::to_owned),
        "execute_bootc_install" => {
            image = step["args"]["image_source"].as_str().map(str::to_owned);
            agent.body.note(format!("pull secret {}", step["args"]["oci_pull_secret"]));
        }
        "erase_devices" | "erase_devices_metadata" => agent.body.write_disk(None),
        _ => {}
    }
    if image.is_some() {
        agent.body.write_disk(image);
    }
    let word = kind.word();
    let mut result = json!({format!("{word}_result"): null, format!("{word}_step"): step});
    let proof = lock(&agent.body.faults).proof;
    if let Some(kind) = proof.filter(|_| name == "erase_devices") {
        result["erase_proof"] = proof_of(agent, kind, id, params);
    }
    Ok(result)
}

/// As docs/operating.md describes it; the keys are in another order than the agent's, which must not matter.
fn proof_of(agent: &Agent, kind: Proof, id: &str, params: &Map<String, Value>) -> Value {
    let disk = json!({
        "serial": "SIM-1", "device": "/dev/sda", "model": "Simulated", "wwn": null, "size": 4096, "passes": 2,
        "method": "overwrite", "notes": [], "ended_at": 2, "started_at": 1,
        "read_back": {"verdict": "pass", "expected": "zeroes", "places": [[0, 4096]]},
    });
    let node = params.get("node").and_then(|node| node.get("uuid"));
    let mut document = json!({
        "step": "erase_devices", "format": "wrought-erase-proof/1", "node_uuid": node,
        "command_id": id, "agent_version": "11.0.0", "started_at": 1, "ended_at": 2, "disks": [disk], "passed_over": {},
    });
    let (algorithm, value) = agent.signer.sign(canonical(&document).as_bytes()).expect("a signature");
    let value = base64::engine::general_purpose::STANDARD.encode(value);
    if kind == Proof::Tampered {
        document["disks"][0]["serial"] = "SIM-2".into();
    }
    let signature = (kind != Proof::Unsigned).then(|| json!({"algorithm": algorithm, "value": value}));
    json!({"document": document, "signature": signature})
}

/// The faults that strike in the middle of a step. Some do not return: the agent they strike is gone.
async fn trouble(agent: &Arc<Agent>, name: &str) {
    let faults = lock(&agent.body.faults).clone();
    let here = |fault: &Option<String>| fault.as_deref() == Some(name);
    if here(&faults.silent_during) {
        agent.silent.store(true, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    if here(&faults.off_during) {
        lock(&agent.body.faults).off_during = None;
        agent.body.note("lost power");
        agent.body.switch_off();
        std::future::pending::<()>().await;
    }
    if here(&faults.restarts_during) {
        lock(&agent.body.faults).restarts_during = None;
        agent.life.cancel();
        std::future::pending::<()>().await;
    }
    if let Some((step, times)) = faults.forgets_during
        && step == name
        && times > 0
    {
        lock(&agent.body.faults).forgets_during = Some((step, times - 1));
        agent.board.forget();
        std::future::pending::<()>().await;
    }
}

fn error(kind: &str, details: String) -> CommandError {
    CommandError { kind: kind.into(), code: 500, message: "a simulated failure".into(), details }
}
