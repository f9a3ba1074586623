//! Asks the policy before a handler runs: may the caller see what the path names, and do what the row says with it?
//!
//! A handler therefore never sees an object that is hidden from its caller. What only a body tells (the node of a new
//! port, the fields of a patch), the handler asks itself: such rows say so, and one that forgets fails.

use super::args::cut;
use super::call::Call;
use super::error::ApiError;
use super::ident;
use super::route::Route;
use super::seen::target;
use crate::model::node::Node;
use crate::model::record::Kind;
use crate::policy::{Target, Visible, may};
use crate::store::StoreError;
use crate::store::records::Record;
use std::sync::atomic::Ordering;
use uuid::Uuid;

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

/// What a path is about, as far as the policy cares.
enum Subject {
    /// Nothing that anybody owns.
    None,
    /// A node, or something that belongs to it and is called so in a refusal.
    OfNode(&'static str, Box<Node>),
    /// Something with an owner of its own.
    Owned(Kind, Box<Record>),
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
    let who = &call.caller.credentials;
    let subject = subject(call, route).await?;
    let target = match &subject {
        Subject::None => Target::NONE,
        Subject::OfNode(what, node) => {
            if !may(who, "baremetal:node:get", &target(node)) {
                return Err(missing(what, call.param(0)));
            }
            target(node)
        }
        Subject::Owned(kind, record) => {
            let owner = Target::owned(record.document["owner"].as_str());
            let hidden = match kind {
                Kind::Allocation => !may(who, "baremetal:allocation:get", &owner),
                _ => {
                    let mine = who.project().is_some() && who.project() == owner.owner;
                    !mine && !is_public(record) && !may(who, "baremetal:runbook:get", &owner)
                }
            };
            if hidden {
                return Err(ApiError::not_found(format!("{} could not be found.", kind.named(&cut(call.param(0))))));
            }
            // Everybody reads public runbooks.
            if *kind == Kind::Runbook && is_public(record) && rule == "baremetal:runbook:get" {
                return Ok(());
            }
            owner
        }
    };
    match (route.policy, listed(rule)) {
        (Policy::Handler(_), _) => Ok(()),
        (_, Some(kind)) if call.visible(kind) == Visible::Nothing => Err(ApiError::denied(rule)),
        (_, Some(_)) => Ok(()),
        (_, None) => call.permit(rule, &target),
    }
}

/// The kind of resource whose lists the rule is about; `baremetal:node:vif:list` and its like are about one node.
fn listed(rule: &str) -> Option<&str> {
    rule.strip_prefix("baremetal:")?.strip_suffix(":list").filter(|kind| !kind.contains(':'))
}

fn is_public(record: &Record) -> bool {
    record.document["public"].as_bool().unwrap_or_default()
}

fn missing(what: &str, ident: &str) -> ApiError {
    ApiError::not_found(format!("{what} {} could not be found.", cut(ident)))
}

async fn subject(call: &Call, route: &Route) -> Result<Subject, ApiError> {
    let mut words = route.path.split('/').skip(2);
    let (first, second, third) = (words.next(), words.next(), words.next());
    let store = &call.conductor.store;
    let param = call.param(0);
    let found = match (first, second, third) {
        (Some("nodes"), Some("{}"), _) => match ident::of_path(param, "node") {
            Ok(ident) => store.node(&ident).await.map(|node| ("Node", node)),
            Err(error) => return Err(error),
        },
        (Some("ports"), Some("{}"), _) => match store.port(param).await {
            Ok(port) => of_node(call, "Port", Some(port.node_uuid)).await,
            Err(error) => Err(error),
        },
        (Some("portgroups"), Some("{}"), _) => part(call, "Portgroup", Kind::PortGroup).await,
        (Some("volume"), Some("connectors"), Some("{}")) => part(call, "Volume connector", Kind::VolumeConnector).await,
        (Some("volume"), Some("targets"), Some("{}")) => part(call, "Volume target", Kind::VolumeTarget).await,
        (Some("allocations"), Some("{}"), _) => return owned(call, Kind::Allocation).await,
        (Some("runbooks"), Some("{}"), _) => return owned(call, Kind::Runbook).await,
        _ => return Ok(Subject::None),
    };
    match found {
        Ok((what, node)) => Ok(Subject::OfNode(what, Box::new(node))),
        // What does not exist is refused as what is hidden.
        Err(error) => Err(error.into()),
    }
}

async fn part(call: &Call, what: &'static str, kind: Kind) -> Result<(&'static str, Node), StoreError> {
    let record = call.conductor.store.record(kind, call.param(0)).await?;
    of_node(call, what, record.node).await
}

async fn of_node(call: &Call, what: &'static str, node: Option<Uuid>) -> Result<(&'static str, Node), StoreError> {
    // What belongs to no node is nobody's: the rules refuse it to everybody but the site's own people.
    let node = node.ok_or_else(|| StoreError::NotFound(format!("{what} {}", cut(call.param(0)))))?;
    Ok((what, call.conductor.store.node(&node.to_string()).await?))
}

async fn owned(call: &Call, kind: Kind) -> Result<Subject, ApiError> {
    match call.conductor.store.record(kind, call.param(0)).await {
        Ok(record) => Ok(Subject::Owned(kind, Box::new(record))),
        Err(error) => Err(error.into()),
    }
}

/// A handler that was to ask and did not has shown something to whom it did not know.
pub fn asked(call: &Call, route: &Route) -> bool {
    !matches!(route.policy, Policy::Handler(_)) || call.caller.credentials.trusted || call.asked.load(Ordering::Relaxed)
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
                    ["/", "/v1", "/openapi.json", "/docs", "/v1/lookup", "/v1/heartbeat/{}", "/v1/continue_inspection"]
                        .contains(&route.path),
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
