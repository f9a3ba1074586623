//! Deploy templates at work: the steps of those whose name is a trait that the instance asks for (rest-api 17.5).

use crate::flow::conductor::Conductor;
use crate::model::deploy_template::DeployTemplate;
use crate::model::node::Node;
use crate::model::step_list;
use crate::store::StoreError;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where the steps of the templates are kept during a deployment.
const KEPT: &str = "template_deploy_steps";
/// And the templates' names, for refusals.
const NAMES: &str = "deploy_template_names";

/// Most traits of an instance that are looked at.
const TRAITS_MAX: usize = 50;

/// Why a deployment cannot have its templates.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// For the client.
    #[error("{0}")]
    Refused(String),
    /// No templates can be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the templates of the instance's traits and keeps their steps with the node for this deployment: what is
/// changed in a template later is for later deployments.
///
/// # Errors
/// The instance asks for traits that the node does not have, or two templates bring the same step.
pub async fn gather(conductor: &Conductor, node: &mut Node) -> Result<(), TemplatesError> {
    forget(node);
    let wanted = wanted(node).map_err(TemplatesError::Refused)?;
    let mut templates: Vec<DeployTemplate> = Vec::new();
    for name in &wanted {
        match conductor.store.find::<DeployTemplate>(name).await {
            Ok(template) => templates.push(template),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let steps = join(&templates).map_err(TemplatesError::Refused)?;
    if !steps.is_empty() {
        node.driver_internal_info.insert(KEPT.into(), json!(steps));
        let names: Vec<&str> = templates.iter().map(|template| template.name.as_str()).collect();
        node.driver_internal_info.insert(NAMES.into(), json!(names));
    }
    Ok(())
}

/// The deployment is over: nothing of the templates stays with the node.
pub fn forget(node: &mut Node) {
    node.driver_internal_info.remove(KEPT);
    node.driver_internal_info.remove(NAMES);
}

/// The text for steps of templates that the node cannot do.
pub fn refusal(node: &Node, text: &str) -> String {
    let names = node.driver_internal_info.get(NAMES).and_then(Value::as_array);
    refused(names.into_iter().flatten().filter_map(Value::as_str), text)
}

fn refused<'a>(names: impl Iterator<Item = &'a str>, text: &str) -> String {
    let names: Vec<&str> = names.collect();
    format!(
        "Validation of deploy steps from deploy templates matching this node's instance traits failed. Matching deploy \
         templates: {}. Errors: {text}",
        names.join(",")
    )
}

/// The steps that [`gather`] kept.
pub fn kept(node: &Node) -> Vec<Value> {
    node.driver_internal_info.get(KEPT).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The steps of templates and of the person who asked; the person's win.
pub fn under(templates: Vec<Value>, asked: Vec<Value>) -> Vec<Value> {
    let names: BTreeSet<String> = asked.iter().map(step_list::name).collect();
    let mut steps: Vec<Value> = templates.into_iter().filter(|step| !names.contains(&step_list::name(step))).collect();
    steps.extend(asked);
    steps
}

/// The traits of the instance: all of them must be the node's.
fn wanted(node: &Node) -> Result<BTreeSet<String>, String> {
    let traits = match node.instance_info.get("traits") {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Array(items)) if items.len() <= TRAITS_MAX && items.iter().all(Value::is_string) => items,
        Some(_) => {
            return Err(format!(
                "Error parsing traits from Node {} instance_info field. A list of strings is expected.",
                node.uuid
            ));
        }
    };
    let names: BTreeSet<String> = traits.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let missing: Vec<&str> = names.iter().filter(|name| !node.traits.contains(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(names);
    }
    Err(format!(
        "Cannot specify instance traits that are not also set on the node. Node {} is missing traits {}",
        node.uuid,
        missing.join(", ")
    ))
}

fn join(templates: &[DeployTemplate]) -> Result<Vec<Value>, String> {
    let steps: Vec<Value> = templates.iter().flat_map(|template| template.steps.steps().iter().cloned()).collect();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<String> = steps.iter().map(step_list::name).filter(|name| !seen.insert(name.clone())).collect();
    if twice.is_empty() {
        return Ok(steps);
    }
    let twice: Vec<String> = twice.into_iter().collect();
    let text = format!(
        "deploy steps from all deploy templates matching this node's instance traits cannot have the same interface and \
         step. Duplicate deploy steps for {}",
        twice.join(", ")
    );
    Err(refused(templates.iter().map(|template| template.name.as_str()), &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::step_list::{ListKind, StepList};

    fn template(name: &str, step: &str) -> DeployTemplate {
        let steps = json!([{"interface": "bios", "step": step, "args": {}, "priority": 10}]);
        DeployTemplate {
            name: name.into(),
            steps: StepList::parse(ListKind::Template, steps).unwrap(),
            ..DeployTemplate::default()
        }
    }

    fn names(steps: &[Value]) -> Vec<String> {
        steps.iter().map(step_list::name).collect()
    }

    #[test]
    fn templates_join_and_never_bring_a_step_twice() {
        let (a, b) = (template("CUSTOM_A", "x"), template("CUSTOM_B", "y"));
        assert_eq!(names(&join(&[a.clone(), b]).unwrap()), ["bios.x", "bios.y"]);
        let error = join(&[a.clone(), template("CUSTOM_C", "x")]).unwrap_err();
        assert!(error.contains("templates: CUSTOM_A,CUSTOM_C.") && error.ends_with("for bios.x"), "{error}");
    }

    #[test]
    fn the_person_s_step_wins() {
        let asked = vec![json!({"interface": "bios", "step": "x", "args": {}, "priority": 0})];
        let templates = join(&[template("CUSTOM_A", "x"), template("CUSTOM_B", "y")]).unwrap();
        let steps = under(templates, asked);
        assert_eq!(names(&steps), ["bios.y", "bios.x"]);
        assert_eq!(steps[1]["priority"], 0);
    }

    #[test]
    fn an_instance_asks_only_for_traits_of_its_node() {
        let mut node = Node { traits: vec!["CUSTOM_A".into()], ..Node::default() };
        assert_eq!(wanted(&node), Ok(BTreeSet::new()));
        node.instance_info.insert("traits".into(), json!(["CUSTOM_A", "CUSTOM_A"]));
        assert_eq!(wanted(&node), Ok(BTreeSet::from(["CUSTOM_A".to_owned()])));
        node.instance_info.insert("traits".into(), json!(["CUSTOM_A", "CUSTOM_Z"]));
        assert!(wanted(&node).unwrap_err().ends_with("is missing traits CUSTOM_Z"));
        node.instance_info.insert("traits".into(), json!("CUSTOM_A"));
        assert!(wanted(&node).is_err());
    }
}
