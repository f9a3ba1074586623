//! `PUT states/boot_mode` and `states/secure_boot` (rest-api section 7.4): checked at once, done behind.

use super::management::management;
use super::{Caller, Conductor, RequestError, find, sign};
use crate::claim::Claim;
use crate::driver::traits::{DriverError, Management};
use crate::model::history::Severity;
use crate::model::node::Node;
use crate::model::power::BootMode;
use std::sync::Arc;

/// What a person wants changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootChange {
    /// uefi or bios.
    Mode(BootMode),
    /// On or off.
    SecureBoot(bool),
}

impl BootChange {
    /// Changes it unless it is so already. `true`: it was changed.
    async fn apply(self, management: &dyn Management) -> Result<bool, DriverError> {
        // A BMC that cannot say how it is may still take orders.
        match self {
            BootChange::Mode(mode) => match management.boot_mode().await {
                Ok(current) if current == mode => Ok(false),
                _ => management.set_boot_mode(mode).await.map(|()| true),
            },
            BootChange::SecureBoot(on) => match management.secure_boot().await {
                Ok(current) if current == on => Ok(false),
                _ => management.set_secure_boot(on).await.map(|()| true),
            },
        }
    }

    fn note(self, node: &mut Node) -> String {
        match self {
            BootChange::Mode(mode) => {
                node.boot_mode = Some(mode.name().into());
                format!("boot mode changed to {mode}")
            }
            BootChange::SecureBoot(on) => {
                node.secure_boot = Some(on);
                format!("secure boot {}", if on { "switched on" } else { "switched off" })
            }
        }
    }

    fn failure(self, error: &DriverError) -> String {
        match self {
            BootChange::Mode(mode) => format!("Failed to change boot mode to '{mode}': {error}"),
            BootChange::SecureBoot(on) => {
                let target = if on { "True" } else { "False" };
                format!("Failed to change secure_boot state to '{target}': {error}")
            }
        }
    }
}

/// Takes the node and answers; the BMC is told behind, and `last_error` says what went wrong.
///
/// # Errors
/// A state in which the machine boots for us (409), a held node, no worker, driver_info.
pub async fn change_boot(
    conductor: &Arc<Conductor>,
    ident: &str,
    change: BootChange,
    caller: &Caller,
) -> Result<(), RequestError> {
    let node = find(conductor, ident).await?;
    if node.provision_state.is_unstable() {
        return Err(RequestError::Conflict(format!(
            "Node is in {} state. Since node is transitioning, the boot mode will not be set as this may interfere with \
             ongoing changes and result in erroneous modification. Try again later.",
            node.provision_state
        )));
    }
    let management = management(conductor, &node)?;
    super::worker(conductor)?;
    let mut claim = Claim::take_patiently(&conductor.holder, node.uuid, "changing boot settings").await?;
    sign(&mut claim.node, caller);
    claim.node.last_error = None;
    claim.save().await?;
    conductor.spawn(carry_out(Arc::clone(conductor), claim, change, management));
    Ok(())
}

async fn carry_out(conductor: Arc<Conductor>, mut claim: Claim, change: BootChange, management: Arc<dyn Management>) {
    match change.apply(management.as_ref()).await {
        Ok(false) => {}
        Ok(true) => {
            let text = change.note(&mut claim.node);
            claim.note(Severity::Info, "management", text);
        }
        Err(error) => {
            let text = change.failure(&error.of(&claim.node.driver));
            super::note_failure(&mut claim, "management", text);
        }
    }
    super::save_and_let_go(&conductor, claim).await;
}
