//! Back to the instance: after a service, a rescue, or an abort of one, the machine boots its own disk again, or the
//! instance that lives in its memory.

use crate::claim::Claim;
use crate::flow::conductor::Conductor;
use crate::flow::trouble::{Moved, Trouble};
use crate::flow::{machine, memory_instance, ramdisk};
use crate::model::node::InterfaceKind;
use crate::model::power::{BootDevice, PowerTarget};
use std::sync::Arc;

/// Ends whatever runs and boots the disk. Runs twice without harm: it boots again.
///
/// # Errors
/// [`Trouble::Fail`] after `bmc_patience`.
pub async fn start(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<(), Trouble> {
    let never_off = claim.node.disable_power_off;
    if !never_off {
        machine::set_power(conductor, claim, PowerTarget::Off).await?;
    }
    machine::forget_agent(&mut claim.node);
    if memory_instance::is_one(&claim.node) {
        memory_instance::boot(conductor, claim).await?;
        claim.node.flow.ramdisk = false;
        return Ok(());
    }
    if claim.node.interface(InterfaceKind::Boot) == "ipxe" {
        ramdisk::offer_local_disk(conductor, &claim.node).await.map_err(Trouble::Fail)?;
        machine::set_boot_device(conductor, claim, BootDevice::Disk, true).await?;
    }
    let on = if never_off { PowerTarget::Reboot } else { PowerTarget::On };
    machine::set_power(conductor, claim, on).await?;
    conductor.boot.remove(claim.node.uuid);
    claim.node.flow.ramdisk = false;
    Ok(())
}

/// After an abort: the node is active already, its machine is not.
pub async fn restore(conductor: &Arc<Conductor>, claim: &mut Claim) -> Result<Moved, Trouble> {
    start(conductor, claim).await?;
    claim.node.flow.stage.clear();
    claim.save().await?;
    Ok(Moved::On)
}
