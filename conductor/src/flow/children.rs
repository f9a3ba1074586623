//! A step of a node that runs on its child nodes (`execute_on_child_nodes`; rest-api 7.2 and 21, row 3).

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::Trouble;
use crate::flow::{family, here, let_go, machine, reserved};
use crate::model::history::Severity;
use crate::model::power::PowerChange;
use crate::model::step_check::shown;
use crate::model::steps;
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Runs the step on every child, or on those that the step is limited to, one after another. After a restart it begins
/// again with the first: a step twice leaves what once leaves.
///
/// # Errors
/// [`Trouble::Fail`] names the child and what was wrong with it.
pub async fn run(conductor: &Arc<Conductor>, claim: &mut Claim, kind: StepKind, step: &Step) -> Result<(), Trouble> {
    let limit = steps::child_limit(step);
    let mut children = family::children(conductor, claim.node.uuid).await?;
    children.retain(|child| limit.is_empty() || limit.contains(&child.uuid.to_string()));
    // The limit is checked when it is used: children come and go.
    if let Some(stranger) = limit.iter().find(|uuid| !children.iter().any(|child| child.uuid.to_string() == **uuid)) {
        return Err(Trouble::Fail(format!(
            "node {stranger} in limit_child_node_execution is no child of node {}; correct the list or set its parent_node",
            claim.node.uuid
        )));
    }
    for child in &children {
        on_child(conductor, claim, child.uuid, kind, step).await?;
    }
    let text = format!("{} step {} ran on {} child nodes", kind.word(), steps::label(step), children.len());
    claim.note(Severity::Info, "step", text);
    Ok(())
}

async fn on_child(
    conductor: &Arc<Conductor>,
    parent: &Claim,
    child: Uuid,
    kind: StepKind,
    step: &Step,
) -> Result<(), Trouble> {
    let failed =
        |text: String| Trouble::Fail(format!("While executing step {} on child node {child}: {text}", plain(step)));
    let mut claim = Claim::take_patiently(&conductor.holder, child, "step of its parent")
        .await
        .map_err(|error| failed(error.to_string()))?;
    // Begun at this very time: this step of the parent, and not an earlier one by the same name. What the child's own save
    // says is what counts: a parent whose conductor died goes on with the children that are left.
    let begun = parent.node.flow.step_started_at;
    if begun.is_some() && claim.node.flow.parent_step == begun {
        let_go(conductor, claim).await;
        return Ok(());
    }
    claim.node.flow.request_id.clone_from(&parent.node.flow.request_id);
    claim.node.flow.user.clone_from(&parent.node.flow.user);
    claim.node.flow.project.clone_from(&parent.node.flow.project);
    let outcome = work(conductor, &mut claim, kind, step).await;
    if outcome.is_ok() {
        let text = format!("{} step {} of the parent done", kind.word(), steps::label(step));
        claim.note(Severity::Info, "step", text);
        claim.node.flow.parent_step = begun;
    }
    let saved = claim.save().await;
    let_go(conductor, claim).await;
    outcome.map_err(failed)?;
    Ok(saved?)
}

async fn work(conductor: &Arc<Conductor>, claim: &mut Claim, kind: StepKind, step: &Step) -> Result<(), String> {
    if let Some(target) = reserved::power_target(step) {
        let done = machine::change_power(conductor, claim, PowerChange::Lent { lent: target }).await;
        return done.map_err(|trouble| trouble.to_string());
    }
    if !here::offered(conductor, &claim.node, kind)
        .iter()
        .any(|offer| offer.step == step.step && offer.interface == step.interface)
    {
        return Err(format!("node does not support this {} step: {}", kind.word(), plain(step)));
    }
    match here::driver_step(conductor, claim, step).await? {
        here::Ended::Done => Ok(()),
        here::Ended::Waits => Err(format!("step returned invalid value: {} wait", kind.word())),
    }
}

/// The step as it was asked for, without what was added to it.
fn plain(step: &Step) -> String {
    let mut map =
        Map::from_iter([("interface".to_owned(), json!(step.interface)), ("step".to_owned(), json!(step.step))]);
    if let Some(args) = &step.args {
        map.insert("args".into(), json!(args));
    }
    shown(&Value::Object(map))
}
