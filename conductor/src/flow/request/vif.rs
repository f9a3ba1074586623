//! Attaching and detaching of tenant networks. The noop network has none: all that is left is that a node which is worked on
//! is not changed (rest-api sections 8.2 and 17.1).

use super::{Conductor, RequestError, held};
use std::sync::Arc;
use uuid::Uuid;

/// Takes the node, changes nothing.
///
/// # Errors
/// 409: somebody holds it; 404.
pub async fn change_vif(conductor: &Arc<Conductor>, node: Uuid, reason: &str) -> Result<(), RequestError> {
    held(conductor, node, reason, async |_| Ok(())).await
}
