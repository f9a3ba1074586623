//! A runbook as argument of `clean` and `service`: its steps take the place of a list (rest-api section 7.2).

use super::args::Args;
use super::call::Call;
use super::error::ApiError;
use super::ident;
use crate::flow::request::ProvisionRequest;
use crate::model::fsm::Event;
use crate::model::node::Node;
use crate::model::runbook::Runbook;
use crate::policy::Target;

/// Puts the runbook's steps into the request, when one is named.
///
/// # Errors
/// 406 below 1.92, 404 for an unknown one, 403 when the caller may not use it, 400 when the node does not approve of it or
/// a list of steps was given too.
pub async fn apply(
    call: &Call,
    args: &Args,
    event: Event,
    node: &Node,
    request: &mut ProvisionRequest,
) -> Result<(), ApiError> {
    let Some(text) = args.text("runbook")? else { return Ok(()) };
    if !call.version.has(92) {
        return Err(ApiError::too_new());
    }
    let runbook: Runbook = call.conductor.store.find(&ident::of_path(text, "runbook")?).await?;
    call.permit("baremetal:runbook:use", &Target::owned(runbook.owner.as_deref()))?;
    runbook.check_approved(node, call.version.has(112)).map_err(ApiError::invalid)?;
    let (steps, name) = match event {
        Event::Clean => (&mut request.clean_steps, "clean_steps"),
        Event::Service => (&mut request.service_steps, "service_steps"),
        // The reference takes it and does nothing with it.
        _ => {
            let text = "\"runbooks\" is only valid when setting target provision state to any of ['clean', 'service']";
            return Err(ApiError::invalid(text));
        }
    };
    if steps.as_ref().is_some_and(|steps| !steps.is_empty()) {
        return Err(ApiError::invalid(format!("Please provide either \"{name}\" or a runbook, but not both.")));
    }
    *steps = Some(runbook.steps.in_order());
    request.disable_ramdisk = runbook.disable_ramdisk;
    Ok(())
}
