//! Inspection rules at work: after the hooks, before the data are kept (rest-api section 12).
//!
//! Nothing is saved here: what rules change of the node and of its ports is saved with the piece that they are part of, in
//! one transaction. Their calls of other services may be made twice when this process dies before that.

use crate::claim::Claim;
use crate::flow::api_call;
use crate::flow::conductor::Conductor;
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::policy::Visible;
use crate::rules::RuleError;
use crate::rules::actions::Subject;
use crate::rules::built_in;
use crate::rules::context::Budget;
use crate::rules::effect::{Effect, Level};
use crate::rules::rule::{MAIN, Rule, sort};
use crate::rules::run::{Masking, Run, bounded};
use crate::rules::stored::StoredRule;
use crate::store::records::RecordFilter;
use crate::store::{Page, StoreError};
use serde_json::Value;

/// Why rules ended an inspection.
#[derive(Debug, thiserror::Error)]
pub enum RulesFailed {
    /// A rule said so, or could not be applied; the text says which.
    #[error("{0}")]
    Failed(String),
    /// What they changed cannot be saved.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs all rules, highest priority first, on the node and its ports.
///
/// # Errors
/// The first rule that fails ends the inspection; what was done before it stays done.
pub async fn apply(
    conductor: &Conductor,
    claim: &mut Claim,
    inventory: &Value,
    plugin_data: &mut Value,
    ports: &mut [Port],
) -> Result<(), RulesFailed> {
    let rules = all(conductor).await?;
    if rules.is_empty() {
        return Ok(());
    }
    let budget = Budget::default();
    for rule in &rules {
        let masking = Masking::from_name(&conductor.config.inspection_rules.mask_secrets).unwrap_or(Masking::Always);
        let run = Run { rule, inventory, masking, budget: &budget };
        one(conductor, claim, &run, ports, plugin_data).await?;
    }
    Ok(())
}

/// Stored rules in the order in which they were made, then those of the file; then all by priority.
async fn all(conductor: &Conductor) -> Result<Vec<Rule>, RulesFailed> {
    let stored: Vec<StoredRule> =
        conductor.store.list(&Visible::Everything, &RecordFilter::default(), &Page::default()).await?;
    let mut rules: Vec<Rule> = stored
        .into_iter()
        .filter(|stored| stored.rule.phase == MAIN)
        .map(|stored| Rule { uuid: stored.meta.uuid.to_string(), ..stored.rule })
        .collect();
    if let Some(path) = &conductor.config.inspection_rules.built_in_rules {
        rules.extend(from_file(path).await.map_err(|error| {
            RulesFailed::Failed(format!("the rules in [inspection_rules]built_in_rules ({path}): {error}"))
        })?);
    }
    sort(&mut rules);
    Ok(rules)
}

async fn from_file(path: &str) -> Result<Vec<Rule>, String> {
    let size = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?.len();
    if size > built_in::FILE_MAX {
        return Err(format!("the file is longer than {} bytes", built_in::FILE_MAX));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())?;
    built_in::parse(&text)
}

/// One rule: its conditions, then its actions with their turns.
async fn one(
    conductor: &Conductor,
    claim: &mut Claim,
    run: &Run<'_>,
    ports: &mut [Port],
    plugin_data: &mut Value,
) -> Result<(), RulesFailed> {
    let (node, rule) = (claim.node.uuid, &run.rule.uuid);
    let failed = |error: RuleError| match error {
        // The rule's own words; which rule it was is in the node's history.
        RuleError::Told(_) => RulesFailed::Failed(error.to_string()),
        other => RulesFailed::Failed(format!("Failed to apply rule {rule} to node {node}: {other}")),
    };
    if !run.holds(&Subject { node: &mut claim.node, ports, plugin_data }).map_err(failed)? {
        tracing::debug!(%node, %rule, "the conditions of an inspection rule do not hold");
        return Ok(());
    }
    claim.note(Severity::Info, "inspection", format!("inspection rule {rule} is applied"));
    for action in &run.rule.actions {
        let turns = action.turns().map_or(vec![None], |items| items.into_iter().map(Some).collect());
        bounded(turns.len()).map_err(failed)?;
        for item in turns {
            let before = Fixed::of(&claim.node);
            let mut subject = Subject { node: &mut claim.node, ports, plugin_data };
            let effect = run.perform(action, item, &mut subject).map_err(failed)?;
            if let Err(text) = settle(conductor, &mut claim.node, before).await? {
                return Err(failed(RuleError::Action(text)));
            }
            match effect {
                Effect::Nothing => {}
                Effect::Log(level, text) => log(&claim.node, rule, level, &text),
                Effect::Call(call) => {
                    api_call::call(&call).await.map_err(RuleError::Action).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

/// What of a node must fit other things than itself.
struct Fixed {
    name: Option<String>,
    driver: String,
    interfaces: std::collections::BTreeMap<crate::model::node::InterfaceKind, String>,
}

impl Fixed {
    fn of(node: &Node) -> Self {
        Fixed { name: node.name.clone(), driver: node.driver.clone(), interfaces: node.interfaces.clone() }
    }
}

/// Checks a name, driver and interfaces that a rule has set, and takes back what does not fit: a record that cannot be
/// saved would hold the node in inspection for ever.
async fn settle(conductor: &Conductor, node: &mut Node, before: Fixed) -> Result<Result<(), String>, StoreError> {
    if let Some(name) = node.name.clone().filter(|_| node.name != before.name) {
        let taken = match conductor.store.node(&name).await {
            Ok(other) => other.uuid != node.uuid,
            Err(StoreError::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
        if taken {
            node.name = before.name;
            return Ok(Err(format!("A node with name {name} already exists.")));
        }
    }
    if node.driver == before.driver && node.interfaces == before.interfaces {
        return Ok(Ok(()));
    }
    let drivers = &conductor.drivers;
    let fits = drivers.hardware_type(&node.driver).map(drop).and_then(|()| {
        node.interfaces.iter().try_for_each(|(kind, name)| drivers.check_interface(&node.driver, *kind, name))
    });
    if let Err(error) = fits {
        (node.driver, node.interfaces) = (before.driver, before.interfaces);
        return Ok(Err(error.to_string()));
    }
    Ok(Ok(()))
}

fn log(node: &Node, rule: &str, level: Level, text: &str) {
    let node = node.uuid;
    let text: String = text.chars().take(4096).collect();
    match level {
        Level::Debug => tracing::debug!(%node, rule, "{text}"),
        Level::Info => tracing::info!(%node, rule, "{text}"),
        Level::Warning => tracing::warn!(%node, rule, "{text}"),
        Level::Error => tracing::error!(%node, rule, "{text}"),
    }
}
