//! Which array holds the system: what the configuration said about the arrays made since this boot, and, in later boots,
//! what the node's record says about arrays of that name (ipa-features 15, row "RAID volume flag").

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Kernel name of an array made since this agent started, and its flag. Beside the disks because cleaning and deployment
/// are commands of their own.
static MADE: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());

/// Remembers what the configuration said about a new array.
pub fn remember(kernel_name: &str, root: Option<bool>) {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    match root {
        Some(root) => made.insert(kernel_name.to_owned(), root),
        None => made.remove(kernel_name),
    };
}

/// Nothing is known of the arrays any more: they are deleted.
pub fn forget() {
    MADE.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// What was said about this array.
pub fn of(kernel_name: &str) -> Option<bool> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner).get(kernel_name).copied()
}

/// What the node's `raid_config` says about a volume of one of these names.
pub fn recorded(node: &Map<String, Value>, volumes: &[String]) -> Option<bool> {
    let disks = node.get("raid_config")?.get("logical_disks")?.as_array()?;
    let named = |disk: &&Value| {
        let name = disk.get("volume_name").and_then(Value::as_str);
        name.is_some_and(|name| volumes.iter().any(|volume| volume == name))
    };
    disks.iter().find(named)?.get("is_root_volume")?.as_bool()
}

#[cfg(test)]
mod tests {
    use super::{forget, of, recorded, remember};
    use serde_json::json;

    #[test]
    fn a_new_array_is_known_by_its_kernel_name_until_it_is_deleted() {
        remember("md900", Some(true));
        remember("md901", Some(false));
        assert_eq!((of("md900"), of("md901"), of("md902")), (Some(true), Some(false), None));
        remember("md900", None);
        assert_eq!(of("md900"), None);
        forget();
        assert_eq!(of("md901"), None);
    }

    #[test]
    fn an_old_one_by_its_volume_name() {
        let node = json!({"raid_config": {"logical_disks": [
            {"volume_name": "root", "is_root_volume": true}, {"volume_name": "data"}, {"is_root_volume": true}]}});
        let said = |name: &str| recorded(node.as_object().unwrap(), &[name.to_owned()]);
        assert_eq!((said("root"), said("data"), said("md0")), (Some(true), None, None));
        assert_eq!(recorded(&serde_json::Map::new(), &["root".to_owned()]), None);
    }
}
