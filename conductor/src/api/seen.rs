//! What handlers ask the policy for: may the caller, which part of a list is his, which other node may he name.

use super::args::cut;
use super::call::Call;
use super::error::ApiError;
use super::ident;
use crate::model::node::Node;
use crate::model::record::Kind;
use crate::policy::{Target, Visible, may};
use crate::store::StoreError;
use std::sync::atomic::Ordering;

/// What a node means to the policy.
pub fn target(node: &Node) -> Target<'_> {
    Target { owner: node.owner.as_deref(), lessee: node.lessee.as_deref() }
}

impl Call {
    /// May the caller?
    pub fn may(&self, rule: &str, target: &Target) -> bool {
        self.asked.store(true, Ordering::Relaxed);
        may(&self.caller.credentials, rule, target)
    }

    /// May the caller? A refusal names the rule.
    ///
    /// # Errors
    /// 403.
    pub fn permit(&self, rule: &str, target: &Target) -> Result<(), ApiError> {
        if self.may(rule, target) { Ok(()) } else { Err(ApiError::denied(rule)) }
    }

    /// What lists of this kind (`node`, `port`, `portgroup`, `volume`, `allocation`, `runbook`) may show the caller.
    pub fn visible(&self, kind: &str) -> Visible {
        Visible::to(&self.caller.credentials, kind)
    }

    /// What lists of these records may show the caller. Kinds without owners are shown whole or not at all.
    pub fn visible_records(&self, kind: Kind) -> Visible {
        match kind {
            Kind::PortGroup => self.visible("portgroup"),
            Kind::VolumeConnector | Kind::VolumeTarget => self.visible("volume"),
            Kind::Allocation => self.visible("allocation"),
            Kind::Runbook => self.visible("runbook"),
            Kind::BiosSetting | Kind::FirmwareComponent => self.visible("node"),
            Kind::Chassis => self.all_with("baremetal:chassis:get"),
            Kind::DeployTemplate => self.all_with("baremetal:deploy_template:get"),
            Kind::InspectionRule => self.all_with("baremetal:inspection_rule:get"),
        }
    }

    fn all_with(&self, rule: &str) -> Visible {
        if may(&self.caller.credentials, rule, &Target::NONE) { Visible::Everything } else { Visible::Nothing }
    }

    /// A node that a query or a body names. One that the caller may not see does not exist for him.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn node_seen(&self, ident: &str) -> Result<Node, StoreError> {
        let node = self.conductor.store.node(ident).await?;
        if may(&self.caller.credentials, "baremetal:node:get", &target(&node)) {
            Ok(node)
        } else {
            Err(StoreError::NotFound(format!("Node {ident}")))
        }
    }

    /// The node to which something of a node with this `owner` shall be linked by `field`: visible, and of the same owner.
    ///
    /// # Errors
    /// 400, one text whatever is wrong: it must not tell which nodes exist.
    pub async fn linked(&self, owner: Option<&str>, ident: &str, field: &str) -> Result<Node, ApiError> {
        let refused = || {
            let ident = cut(ident);
            ApiError::invalid(format!("Unable to apply the requested {field} '{ident}'. Requested value was invalid."))
        };
        let ident = ident::of_path(ident, field).map_err(|_| refused())?;
        match self.node_seen(&ident).await {
            Ok(node) if node.owner.as_deref() == owner => Ok(node),
            Ok(_) | Err(StoreError::NotFound(_)) => Err(refused()),
            Err(error) => Err(error.into()),
        }
    }
}
