//! The console of a node: where it is, on and off (rest-api section 7.4).

use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::flow::{console, machine};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use serde_json::Value;
use std::sync::Arc;

fn usable(conductor: &Conductor, node: &Node) -> Result<(), RequestError> {
    let target = machine::target(conductor, node);
    let interface = node.interface(InterfaceKind::Console);
    Ok(conductor.drivers.validate(&node.driver, InterfaceKind::Console, interface, &target)?)
}

/// `GET states/console`: `None` while it is off. Only the fake consoles are built, and they lead nowhere.
///
/// # Errors
/// Unsupported.
pub async fn console(conductor: &Arc<Conductor>, ident: &str) -> Result<Option<Value>, RequestError> {
    let node = find(conductor, ident).await?;
    if !node.console_enabled {
        return Ok(None);
    }
    usable(conductor, &node)?;
    Ok(Some(console::info(conductor, &node)))
}

/// `PUT states/console`: a console that is so already needs no lease and changes nothing.
///
/// # Errors
/// Unsupported, a held node, no worker.
pub async fn set_console(
    conductor: &Arc<Conductor>,
    ident: &str,
    on: bool,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    usable(conductor, &node)?;
    if node.console_enabled == on {
        return Ok(());
    }
    super::worker(conductor)?;
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "setting console mode").await?;
    sign(&mut claim.node, caller);
    claim.node.last_error = None;
    console::switch(&mut claim.node, on);
    claim.note(Severity::Info, "console", if on { "console started" } else { "console stopped" });
    console::watch(conductor, &claim.node);
    super::save_and_let_go(conductor, claim).await;
    Ok(())
}
