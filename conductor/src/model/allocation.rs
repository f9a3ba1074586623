//! An allocation: a node reserved by its class and traits (rest-api section 11). Which nodes suit is decided here, purely.

use super::fsm::State;
use super::named::named;
use super::node::Node;
use super::record::{Kind, Meta, Recorded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

named! {
    /// Where an allocation is.
    AllocationState { /// A node is being looked for.
        Allocating = "allocating", /// It has its node.
        Active = "active", /// No node was found.
        Error = "error" }
}

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allocation {
    /// Identity and times.
    #[serde(skip)]
    pub meta: Meta,
    /// Unique.
    pub name: Option<String>,
    /// The node that it has: it goes with the node.
    pub node_uuid: Option<Uuid>,
    /// Where it is.
    pub state: AllocationState,
    /// Why there is no node.
    pub last_error: Option<String>,
    /// The class that the node must have.
    pub resource_class: Option<String>,
    /// UUIDs of the nodes that may be taken; empty: any.
    pub candidate_nodes: Vec<String>,
    /// Traits that the node must have.
    pub traits: Vec<String>,
    /// Anything.
    pub extra: Map<String, Value>,
    /// 1.60: the project whose nodes may be taken, owned or on lease.
    pub owner: Option<String>,
}

impl Default for Allocation {
    fn default() -> Self {
        Allocation {
            meta: Meta::default(),
            name: None,
            node_uuid: None,
            state: AllocationState::Allocating,
            last_error: None,
            resource_class: None,
            candidate_nodes: Vec::new(),
            traits: Vec::new(),
            extra: Map::new(),
            owner: None,
        }
    }
}

impl Allocation {
    /// The sentence of a failure.
    pub fn failure(&self, why: &str) -> String {
        format!("Failed to process allocation {}: {why}.", self.meta.uuid)
    }

    fn has_traits(&self, node: &Node) -> bool {
        self.traits.iter().all(|wanted| node.traits.contains(wanted))
    }

    /// The node may be taken as it is now. Asked again when the node is held: much may have happened since it was listed.
    pub fn suits(&self, node: &Node) -> bool {
        node.power_state.is_some() && self.would_suit(node)
    }

    /// The same, whether its power state is known or not.
    fn would_suit(&self, node: &Node) -> bool {
        node.provision_state == State::Available
            && !node.maintenance
            && node.instance_uuid.is_none()
            && node.resource_class == self.resource_class
            && (self.candidate_nodes.is_empty() || self.candidate_nodes.contains(&node.uuid.to_string()))
            && self.owner.as_ref().is_none_or(|owner| [&node.owner, &node.lessee].contains(&&Some(owner.clone())))
            && self.has_traits(node)
    }

    /// A choice among nodes that come one after the other.
    pub fn choice(&self) -> Choice<'_> {
        let blind = Allocation { traits: Vec::new(), ..self.clone() };
        Choice { allocation: self, blind, seen: false, unknown: 0, suitable: Vec::new() }
    }

    /// Why the node, which is in use already, cannot have this allocation; empty: it can.
    pub fn misfits(&self, node: &Node) -> Vec<String> {
        let mut why = Vec::new();
        // As for a node that is chosen: an allocation gives nobody a hold on a node of others.
        if let Some(owner) =
            self.owner.as_ref().filter(|owner| ![&node.owner, &node.lessee].contains(&&Some((*owner).clone())))
        {
            why.push(format!("The node belongs neither to {owner} nor is it on lease to them"));
        }
        if node.provision_state != State::Active {
            why.push(format!(
                "Node must be in the \"active\" state, but the current state is \"{}\"",
                node.provision_state
            ));
        }
        if self.resource_class.is_some() && node.resource_class != self.resource_class {
            let (has, wants) = (node.resource_class.as_deref(), self.resource_class.as_deref());
            why.push(format!(
                "Resource class {} does not match the requested resource class {}",
                has.unwrap_or("None"),
                wants.unwrap_or("None")
            ));
        }
        if !self.has_traits(node) {
            why.push(format!("List of traits {:?} does not match the requested traits {:?}", node.traits, self.traits));
        }
        if !self.candidate_nodes.is_empty() && !self.candidate_nodes.contains(&node.uuid.to_string()) {
            why.push(format!(
                "Candidate nodes must be empty or contain the target node, but got {:?}",
                self.candidate_nodes
            ));
        }
        why
    }

    /// The allocation as it is when it has this node, and the node as it is then.
    pub fn take(&self, node: &mut Node) -> Allocation {
        node.instance_uuid = Some(self.meta.uuid.to_string());
        node.allocation_uuid = Some(self.meta.uuid.to_string());
        node.instance_info.insert("traits".into(), json!(self.traits));
        let state = AllocationState::Active;
        Allocation { state, node_uuid: Some(node.uuid), last_error: None, ..self.clone() }
    }
}

/// The node lets its allocation go; the store forgets the allocation with the same write.
pub fn let_go(node: &mut Node) {
    if node.allocation_uuid.take().is_some() {
        node.instance_uuid = None;
    }
}

impl Recorded for Allocation {
    const KIND: Kind = Kind::Allocation;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn node(&self) -> Option<Uuid> {
        self.node_uuid
    }
}

/// The nodes that suit an allocation, of those that were shown. Of each it keeps what the order needs, and nothing else:
/// there may be ten thousand.
pub struct Choice<'a> {
    allocation: &'a Allocation,
    /// The same without its traits.
    blind: Allocation,
    /// A node suits but for traits.
    seen: bool,
    /// So many would, were their power state known.
    unknown: usize,
    suitable: Vec<(bool, u128, Uuid)>,
}

impl Choice<'_> {
    /// What [`Choice::see`] reads of a node.
    pub const FIELDS: &'static [&'static str] = &[
        "uuid",
        "name",
        "provision_state",
        "maintenance",
        "instance_uuid",
        "power_state",
        "resource_class",
        "owner",
        "lessee",
        "traits",
    ];

    /// Looks at a node.
    pub fn see(&mut self, node: &Node) {
        if !self.blind.would_suit(node) {
            return;
        }
        if node.power_state.is_none() {
            self.unknown += 1;
            return;
        }
        self.seen = true;
        if self.allocation.has_traits(node) {
            let is_other = self.allocation.name.is_none() || node.name != self.allocation.name;
            self.suitable.push((is_other, node.uuid.as_u128() ^ self.allocation.meta.uuid.as_u128(), node.uuid));
        }
    }

    /// The nodes that suit, in the order in which they are to be tried: the one of the same name first, the others in an
    /// order of this allocation's own, so that those who look at the same time do not meet at the same node.
    ///
    /// # Errors
    /// Why there is none, for [`Allocation::failure`].
    pub fn order(mut self) -> Result<Vec<Uuid>, String> {
        let class = self.allocation.resource_class.as_deref().unwrap_or("None");
        if !self.seen {
            let none = if self.allocation.candidate_nodes.is_empty() {
                "no available nodes match"
            } else {
                "none of the requested nodes are available and match"
            };
            // Nodes of fake-hardware are like this until somebody switches them.
            let unknown = match self.unknown {
                0 => String::new(),
                many => format!(
                    "; the power state of {many} that would is not known: switch them once, with `baremetal node power off NODE`"
                ),
            };
            return Err(format!("{none} the resource class {class}{unknown}"));
        }
        if self.suitable.is_empty() {
            let traits = self.allocation.traits.join(", ");
            return Err(format!("no suitable nodes have the requested traits {traits}"));
        }
        self.suitable.sort_unstable();
        Ok(self.suitable.into_iter().map(|(.., uuid)| uuid).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::power::PowerState;

    fn node(name: &str) -> Node {
        Node {
            name: Some(name.into()),
            provision_state: State::Available,
            power_state: Some(PowerState::Off),
            resource_class: Some("a".into()),
            traits: vec!["CUSTOM_X".into(), "CUSTOM_Y".into()],
            owner: Some("o".into()),
            lessee: Some("l".into()),
            ..Node::new(Uuid::new_v4(), "fake-hardware")
        }
    }

    fn wants() -> Allocation {
        Allocation { resource_class: Some("a".into()), ..Allocation::default() }
    }

    #[test]
    fn what_is_in_use_or_of_another_kind_does_not_suit() {
        let good = node("n");
        assert!(wants().suits(&good));
        for bad in [
            Node { provision_state: State::Manageable, ..good.clone() },
            Node { maintenance: true, ..good.clone() },
            Node { instance_uuid: Some("x".into()), ..good.clone() },
            Node { power_state: None, ..good.clone() },
            Node { resource_class: Some("b".into()), ..good.clone() },
        ] {
            assert!(!wants().suits(&bad), "{bad:?}");
        }
        for (owner, suits) in [("o", true), ("l", true), ("z", false)] {
            assert_eq!(Allocation { owner: Some(owner.into()), ..wants() }.suits(&good), suits, "{owner}");
        }
        let traits = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(Allocation { traits: traits(&["CUSTOM_Y"]), ..wants() }.suits(&good));
        assert!(!Allocation { traits: traits(&["CUSTOM_Y", "CUSTOM_Z"]), ..wants() }.suits(&good));
        assert!(Allocation { candidate_nodes: vec![good.uuid.to_string()], ..wants() }.suits(&good));
        assert!(!Allocation { candidate_nodes: vec![Uuid::new_v4().to_string()], ..wants() }.suits(&good));
    }

    fn chosen(allocation: &Allocation, nodes: &[Node]) -> Result<Vec<Uuid>, String> {
        let mut choice = allocation.choice();
        nodes.iter().for_each(|node| choice.see(node));
        choice.order()
    }

    #[test]
    fn the_namesake_is_tried_first_and_each_allocation_has_its_own_order() {
        let nodes: Vec<Node> = (0..20).map(|number| node(&format!("n{number}"))).collect();
        let order = |allocation: &Allocation| chosen(allocation, &nodes).unwrap();
        let named = Allocation { name: Some("n7".into()), ..wants() };
        assert_eq!(order(&named)[0], nodes[7].uuid);
        assert_ne!(order(&wants()), order(&wants()), "19 of 20 orders would have to be the same");
    }

    #[test]
    fn a_failure_says_what_was_missing() {
        let error = |allocation: Allocation, nodes: Vec<Node>| chosen(&allocation, &nodes).unwrap_err();
        assert_eq!(error(wants(), vec![]), "no available nodes match the resource class a");
        let unknown = Node { power_state: None, ..node("n") };
        let said = error(wants(), vec![unknown.clone(), Node { resource_class: None, ..unknown }]);
        assert!(said.starts_with("no available nodes match the resource class a; the power state of 1 that"), "{said}");
        let candidates = Allocation { candidate_nodes: vec![Uuid::new_v4().to_string()], ..wants() };
        assert!(error(candidates, vec![node("n")]).starts_with("none of the requested nodes are available"));
        let traits = Allocation { traits: vec!["CUSTOM_Q".into()], ..wants() };
        assert_eq!(error(traits, vec![node("n")]), "no suitable nodes have the requested traits CUSTOM_Q");
        assert_eq!(wants().misfits(&node("n")).len(), 1, "not active");
        let active = Node { provision_state: State::Active, ..node("n") };
        assert!(wants().misfits(&active).is_empty());
    }
}
