//! Virtual media of a node: list, insert, take out (rest-api section 8.2).

use super::management::{management, refusal};
use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::driver::traits::Management;
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::power::MediaDevice;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The fault of a node whose BMC stopped to answer.
const POWER_FAILURE: &str = "power failure";

/// `GET vmedia`.
///
/// # Errors
/// Unsupported, or the BMC does not answer.
pub async fn virtual_media(conductor: &Arc<Conductor>, ident: &str) -> Result<Vec<Map<String, Value>>, RequestError> {
    let node = find(conductor, ident).await?;
    management(conductor, &node)?.virtual_media().await.map_err(|error| refusal(&node, error))
}

/// Takes the node for a change of its media; the BMC is asked behind.
async fn begin(
    conductor: &Arc<Conductor>,
    ident: &str,
    what: &str,
    caller: &Caller,
) -> Result<(Claim, Arc<dyn Management>), RequestError> {
    let node = find(conductor, ident).await?;
    let management = management(conductor, &node)?;
    super::worker(conductor)?;
    if is_dead(&node) {
        return Err(RequestError::Unavailable(format!(
            "Unable to {what} virtual media for node {} due to power failure state",
            node.uuid
        )));
    }
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, &format!("{what} virtual media")).await?;
    sign(&mut claim.node, caller);
    claim.node.last_error = None;
    claim.save().await?;
    Ok((claim, management))
}

fn is_dead(node: &Node) -> bool {
    node.maintenance && node.fault.as_deref() == Some(POWER_FAILURE)
}

/// `POST vmedia`: answered at once, `last_error` says what went wrong.
///
/// # Errors
/// A held node, no worker, a node whose BMC does not answer (503), driver_info.
pub async fn attach_virtual_media(
    conductor: &Arc<Conductor>,
    ident: &str,
    device: MediaDevice,
    url: String,
    caller: &Caller,
) -> Result<(), RequestError> {
    let (mut claim, management) = begin(conductor, ident, "attach", caller).await?;
    let shared = Arc::clone(conductor);
    conductor.spawn(async move {
        let node = (claim.node.uuid, claim.node.driver.clone());
        let outcome = match management.takes_images() {
            true => management.attach_virtual_media(device, &url).await.map_err(|error| error.of(&node.1).to_string()),
            false => Err(format!("Publishing images is not supported for driver {}", node.1)),
        };
        match outcome {
            Ok(()) => claim.note(Severity::Info, "management", format!("{device} inserted")),
            Err(error) => {
                let text = format!("Could not attach device {device} to node {}: {error}", node.0);
                super::note_failure(&mut claim, "management", text);
            }
        }
        super::save_and_let_go(&shared, claim).await;
    });
    Ok(())
}

/// `DELETE vmedia`; `None`: all devices.
///
/// # Errors
/// As [`attach_virtual_media`].
pub async fn detach_virtual_media(
    conductor: &Arc<Conductor>,
    ident: &str,
    devices: Option<Vec<MediaDevice>>,
    caller: &Caller,
) -> Result<(), RequestError> {
    let (mut claim, management) = begin(conductor, ident, "detach", caller).await?;
    let shared = Arc::clone(conductor);
    conductor.spawn(async move {
        match management.detach_virtual_media(devices.as_deref()).await {
            Ok(()) => claim.note(Severity::Info, "management", format!("taken out: {}", listed(devices.as_deref()))),
            Err(error) => {
                let error = error.of(&claim.node.driver);
                let (devices, node) = (listed(devices.as_deref()), claim.node.uuid);
                let text = format!("Could not detach device(s) {devices} from node {node}: {error}");
                super::note_failure(&mut claim, "management", text);
            }
        }
        super::save_and_let_go(&shared, claim).await;
    });
    Ok(())
}

/// As the reference writes lists into its texts.
fn listed(devices: Option<&[MediaDevice]>) -> String {
    match devices {
        None => "None".into(),
        Some(devices) => {
            let names: Vec<String> = devices.iter().map(|device| format!("'{device}'")).collect();
            format!("[{}]", names.join(", "))
        }
    }
}
