//! Asks the policy before a handler runs: may the caller see what the path names, and do what the row says with it?
//!
//! A handler therefore never sees an object that is hidden from its caller. What only a body tells (the node of a new
//! port, the fields of a patch), the handler asks itself: such rows say so, and one that forgets fails.

use super::args::cut;
use super::call::Call;
use super::error::ApiError;
use super::ident;
use super::route::Route;
use crate::model::node::Node;
use crate::model::record::Kind;
use crate::policy::{Target, Visible, may};
use crate::store::StoreError;

/// What a row of the table says about who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Everybody, without credentials.
    Open,
    /// Whom this rule allows it, for what the path names. `...:list`: who may list; the list shows what is his.
    Door(&'static str),
    /// The handler asks for this rule or finer ones; the door only hides what the caller may not see.
    Handler(&'static str),
}

impl Policy {
    /// The rule, if there is one.
    pub fn rule(self) -> Option<&'static str> {
        match self {
            Policy::Open => None,
            Policy::Door(rule) | Policy::Handler(rule) => Some(rule),
        }
    }
}

/// What a node means to the policy.
pub fn target(node: &Node) -> Target<'_> {
    Target { owner: node.owner.as_deref(), lessee: node.lessee.as_deref() }
}

impl Call {
    /// May the caller?
    pub fn may(&self, rule: &str, target: &Target) -> bool {
        self.asked.store(true, std::sync::atomic::Ordering::Relaxed);
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
}

impl Call {
    /// What lists of these records may show the caller. Kinds without owners are hidden or shown by the door.
    pub fn visible_records(&self, kind: Kind) -> Visible {
        match kind {
            Kind::PortGroup => self.visible("portgroup"),
            Kind::VolumeConnector | Kind::VolumeTarget => self.visible("volume"),
            Kind::Allocation => self.visible("allocation"),
            Kind::Runbook => self.visible("runbook"),
            Kind::BiosSetting | Kind::FirmwareComponent => self.visible("node"),
            Kind::Chassis => self.everything_with("baremetal:chassis:get"),
            Kind::DeployTemplate => self.everything_with("baremetal:deploy_template:get"),
            Kind::InspectionRule => self.everything_with("baremetal:inspection_rule:get"),
        }
    }

    fn everything_with(&self, rule: &str) -> Visible {
        if may(&self.caller.credentials, rule, &Target::NONE) { Visible::Everything } else { Visible::Nothing }
    }
}

/// The node that the path is about, when it is about one that exists.
async fn node(call: &Call, route: &Route) -> Result<Option<Node>, ApiError> {
    let mut words = route.path.split('/').skip(2);
    let store = &call.conductor.store;
    let found = match (words.next(), words.next()) {
        (Some("nodes"), Some("{}")) => match ident::of_path(call.param(0), "node") {
            Ok(ident) => store.node(&ident).await,
            // The handler says what is wrong with it.
            Err(_) => return Ok(None),
        },
        (Some("ports"), Some("{}")) => match store.port(call.param(0)).await {
            Ok(port) => store.node(&port.node_uuid.to_string()).await,
            Err(error) => Err(error),
        },
        _ => return Ok(None),
    };
    match found {
        Ok(node) => Ok(Some(node)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The door's question.
///
/// # Errors
/// 404 for what the caller may not see, in the words of what does not exist; 403 for what he may not do.
pub async fn permit(call: &Call, route: &Route) -> Result<(), ApiError> {
    let rule = match route.policy {
        Policy::Open => return Ok(()),
        // Nothing to look up for those who may do everything.
        Policy::Door(_) | Policy::Handler(_) if call.caller.credentials.trusted => return Ok(()),
        Policy::Door(rule) | Policy::Handler(rule) => rule,
    };
    let node = node(call, route).await?;
    let target = node.as_ref().map_or(Target::NONE, target);
    if node.is_some() && !may(&call.caller.credentials, "baremetal:node:get", &target) {
        let what = if route.path.starts_with("/v1/ports") { "Port" } else { "Node" };
        return Err(ApiError::not_found(format!("{what} {} could not be found.", cut(call.param(0)))));
    }
    if let Policy::Handler(_) = route.policy {
        return Ok(());
    }
    match rule.strip_prefix("baremetal:").and_then(|rule| rule.strip_suffix(":list")) {
        Some(kind) if kind.contains(':') => call.permit(rule, &target),
        Some(kind) if call.visible(kind) == Visible::Nothing => Err(ApiError::denied(rule)),
        Some(_) => Ok(()),
        None => call.permit(rule, &target),
    }
}

/// A handler that was to ask and did not has shown something to whom it did not know.
pub fn asked(call: &Call, route: &Route) -> bool {
    !matches!(route.policy, Policy::Handler(_))
        || call.caller.credentials.trusted
        || call.asked.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use crate::policy::rules;

    #[test]
    fn every_row_names_a_rule_of_the_policy() {
        for route in TABLE {
            match route.policy.rule() {
                None => assert!(
                    ["/", "/v1", "/v1/lookup", "/v1/heartbeat/{}", "/v1/continue_inspection"].contains(&route.path),
                    "{} {} is open to everybody",
                    route.method,
                    route.path
                ),
                Some(rule) => {
                    assert!(rules::rule(rule).is_some(), "{} {}: {rule} is no rule", route.method, route.path);
                }
            }
        }
    }
}
