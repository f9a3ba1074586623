//! A runbook: approved steps under a name, for manual cleaning and for servicing (rest-api section 12).

use super::node::Node;
use super::record::{Kind, Meta, Recorded};
use super::step_list::StepList;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most traits of a runbook.
pub const TRAITS_MAX: usize = 50;

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// What the store knows.
    #[serde(skip)]
    pub meta: Meta,
    /// Unique.
    pub name: String,
    /// Its steps.
    pub steps: StepList,
    /// Anything.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// Everybody sees it and may use it; it has no owner then.
    #[serde(default)]
    pub public: bool,
    /// Project.
    #[serde(default)]
    pub owner: Option<String>,
    /// Its steps run without the ramdisk.
    #[serde(default)]
    pub disable_ramdisk: bool,
    /// 1.112.
    #[serde(default)]
    pub description: Option<String>,
    /// 1.112: it may be used on nodes that have one of them.
    #[serde(default)]
    pub traits: Vec<String>,
}

impl Recorded for Runbook {
    const KIND: Kind = Kind::Runbook;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl Runbook {
    /// May it run on this node? `by_traits`: from 1.112 on; before, its name must be a trait of the node.
    ///
    /// # Errors
    /// The contract's text.
    pub fn check_approved(&self, node: &Node, by_traits: bool) -> Result<(), String> {
        if !by_traits {
            return if node.traits.contains(&self.name) {
                Ok(())
            } else {
                Err(format!(
                    "This runbook has not been approved for use on this node {}. Please ask an administrator to add it \
                     to your node traits.",
                    node.uuid
                ))
            };
        }
        if self.traits.is_empty() {
            return Err(format!(
                "Runbook {} has no traits configured. Please ask an administrator to add traits to the runbook.",
                self.meta.uuid
            ));
        }
        if self.traits.iter().any(|name| node.traits.contains(name)) {
            return Ok(());
        }
        let mut traits: Vec<String> = self.traits.iter().map(|name| format!("'{name}'")).collect();
        traits.sort_unstable();
        Err(format!(
            "This runbook has not been approved for use on this node {}. The node does not have any of the runbook's \
             traits [{}]. Please ask an administrator to add a matching trait to your node.",
            node.uuid,
            traits.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_approves_a_runbook_by_its_traits() {
        let mut node = Node { traits: vec!["CUSTOM_A".into(), "CUSTOM_B".into()], ..Node::default() };
        let mut runbook = Runbook { name: "CUSTOM_A".into(), ..Runbook::default() };
        assert!(runbook.check_approved(&node, false).is_ok());
        assert!(runbook.check_approved(&node, true).unwrap_err().contains("has no traits configured"));
        runbook.traits = vec!["CUSTOM_Z".into(), "CUSTOM_B".into()];
        assert!(runbook.check_approved(&node, true).is_ok());
        node.traits.clear();
        assert!(runbook.check_approved(&node, false).unwrap_err().contains("add it to your node traits"));
        assert!(runbook.check_approved(&node, true).unwrap_err().contains("traits ['CUSTOM_B', 'CUSTOM_Z']"));
    }
}
