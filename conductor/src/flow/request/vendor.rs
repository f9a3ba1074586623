//! Vendor methods of nodes and of hardware types (rest-api sections 8.2 and 10).

use super::management::refusal;
use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::driver::vendor::{self, Vendor, VendorMethod};
use crate::flow::{let_go, machine};
use crate::model::history::Severity;
use crate::model::node::{InterfaceKind, Node};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum VendorOutcome {
    /// It runs behind: 202.
    Begun,
    /// It is over: 200 with this.
    Done(Value),
}

fn open(conductor: &Conductor, node: &Node) -> Result<Option<Arc<dyn Vendor>>, RequestError> {
    let target = machine::target(conductor, node);
    Ok(conductor.drivers.vendor(&node.driver, node.interface(InterfaceKind::Vendor), &target)?)
}

/// `GET vendor_passthru/methods` of a node: those of its own interface (the reference shows what another node of the same
/// driver had: its defect 12).
///
/// # Errors
/// Unknown node; an interface that may not be used.
pub async fn vendor_methods(conductor: &Arc<Conductor>, ident: &str) -> Result<&'static [VendorMethod], RequestError> {
    let node = find(conductor, ident).await?;
    Ok(open(conductor, &node)?.map_or(&[], |vendor| vendor.methods()))
}

/// Any other call of `vendor_passthru` of a node.
///
/// # Errors
/// Unknown node or method, a wrong verb, arguments, a held node, no worker; what the method says when it runs at once.
pub async fn vendor_call(
    conductor: &Arc<Conductor>,
    ident: &str,
    method: &str,
    verb: &str,
    args: Map<String, Value>,
    caller: &Caller,
) -> Result<VendorOutcome, RequestError> {
    let node = find(conductor, ident).await?;
    let opened = open(conductor, &node)?;
    let row = vendor::find(opened.as_ref().map_or(&[], |vendor| vendor.methods()), method, verb)?;
    let Some(vendor) = opened else { return Err(RequestError::Invalid(format!("No handler for method {}", row.name))) };
    vendor.check(row.name, &args)?;
    if row.is_async {
        super::worker(conductor)?;
    }
    let claim = match row.exclusive {
        true => {
            let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "calling vendor passthru").await?;
            sign(&mut claim.node, caller);
            Some(claim)
        }
        false => None,
    };
    tracing::info!(node = %node.uuid, method = row.name, request_id = caller.request_id, user = caller.user, "vendor method");
    if row.is_async {
        conductor.spawn(behind(Arc::clone(conductor), vendor, row, args, claim, node));
        return Ok(VendorOutcome::Begun);
    }
    let outcome = vendor.call(row.name, &args).await;
    if let Some(claim) = claim {
        let_go(conductor, claim).await;
    }
    outcome.map(VendorOutcome::Done).map_err(|error| refusal(&node, error))
}

async fn behind(
    conductor: Arc<Conductor>,
    vendor: Arc<dyn Vendor>,
    row: &'static VendorMethod,
    args: Map<String, Value>,
    claim: Option<Claim>,
    node: Node,
) {
    let outcome = vendor.call(row.name, &args).await;
    let Some(mut claim) = claim else {
        if let Err(error) = outcome {
            tracing::warn!(node = %node.uuid, method = row.name, %error, "a vendor method failed");
        }
        return;
    };
    match outcome {
        Ok(_) => claim.note(Severity::Info, "vendor", format!("vendor method {} done", row.name)),
        Err(error) => {
            let error = error.of(&node.driver);
            super::note_failure(&mut claim, "vendor", format!("Vendor method {} failed: {error}", row.name));
        }
    }
    super::save_and_let_go(&conductor, claim).await;
}

/// `GET /v1/drivers/{}/vendor_passthru/methods`.
///
/// # Errors
/// 404 for an unknown hardware type.
pub fn driver_vendor_methods(conductor: &Conductor, driver: &str) -> Result<&'static [VendorMethod], RequestError> {
    super::drivers::known(conductor, driver)?;
    Ok(conductor.drivers.driver_methods(driver)?)
}

/// Any other call of `vendor_passthru` of a hardware type.
///
/// # Errors
/// 404 for an unknown hardware type; unknown method or wrong verb.
pub fn driver_vendor_call(
    conductor: &Conductor,
    driver: &str,
    method: &str,
    verb: &str,
) -> Result<VendorOutcome, RequestError> {
    let methods = driver_vendor_methods(conductor, driver)?;
    let row = vendor::find(methods, method, verb)?;
    Err(RequestError::Invalid(format!("No handler for method {}", row.name)))
}
