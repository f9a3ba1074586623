//! How a disk is erased: the fastest way that is sound, decided without touching it.
//!
//! 1. NVMe format, if the controller has it and it hits nothing that is to be kept.
//! 2. Discard followed by write-zeroes, if the *device* does both: the first releases the cells, the second promises that
//!    zeroes are read (`queue/discard_zeroes_data` is no promise any more). Only if zeroes are wanted at the end and not
//!    more than one random pass was asked for: who asks for three passes wants them written.
//! 3. Overwriting.

use super::error::DiskError;
use super::facts::Disk;
use crate::sys::nvme::Controller;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What the conductor asks for (`driver_internal_info`, agent-protocol section 18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Random passes.
    pub iterations: u64,
    /// Zeroes at the end.
    pub zeroize: bool,
    /// Overwrite when the device's own erase fails.
    pub continue_if_failed: bool,
    /// Use the NVMe format.
    pub nvme: bool,
    /// Disks at the same time.
    pub concurrency: usize,
    /// Pass over read-only devices; else they are an error.
    pub skip_read_only: bool,
}

impl Options {
    /// Reads them from the node; missing and null ones have the reference's defaults.
    ///
    /// # Errors
    /// A value of the wrong type, or values that would erase nothing.
    pub fn of(node: &Map<String, Value>) -> Result<Self, DiskError> {
        let info = node.get("driver_internal_info");
        let value = |name: &str| info.and_then(|info| info.get(name)).filter(|value| !value.is_null());
        let wrong = |name: &str, value: &Value| {
            DiskError::Request(format!("driver_internal_info.{name} is {value}; it cannot be used"))
        };
        let flag = |name: &str, default: bool| match value(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(other) => Err(wrong(name, other)),
        };
        let number = |name: &str, default: u64| match value(name) {
            None => Ok(default),
            Some(value) => match value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()) {
                Some(number) if number <= 1000 => Ok(number),
                _ => Err(wrong(name, value)),
            },
        };
        let options = Self {
            iterations: number("agent_erase_devices_iterations", 1)?,
            zeroize: flag("agent_erase_devices_zeroize", true)?,
            continue_if_failed: flag("agent_continue_if_secure_erase_failed", false)?
                || flag("agent_continue_if_ata_erase_failed", false)?,
            nvme: flag("agent_enable_nvme_secure_erase", true)?,
            concurrency: usize::try_from(number("disk_erasure_concurrency", 1)?.max(1)).unwrap_or(1),
            skip_read_only: flag("agent_erase_skip_read_only", false)?,
        };
        if options.iterations == 0 && !options.zeroize {
            return Err(DiskError::Request(
                "agent_erase_devices_iterations is 0 and agent_erase_devices_zeroize is false: nothing would be erased"
                    .into(),
            ));
        }
        Ok(options)
    }
}

/// A way to erase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The controller formats the namespace; with `crypto` it throws the key away.
    NvmeFormat {
        /// Which of the two secure erases.
        crypto: bool,
    },
    /// The device releases and zeroes everything by its own orders.
    DiscardAndZero,
    /// Written over.
    Overwrite,
}

/// Chooses for one disk. `going` holds the kernel names of everything that is to be erased.
///
/// # Errors
/// The format would also hit a namespace that is kept, and overwriting instead was not allowed.
pub fn choose(
    disk: &Disk,
    controller: Option<Controller>,
    options: &Options,
    going: &BTreeSet<String>,
) -> Result<Method, DiskError> {
    if let Some(controller) = controller.filter(|controller| options.nvme && controller.can_format) {
        let kept: Vec<&str> =
            disk.namespaces.iter().filter(|name| !going.contains(*name)).map(String::as_str).collect();
        let hits_all = controller.format_hits_all || controller.erase_hits_all;
        if !hits_all || kept.is_empty() {
            return Ok(Method::NvmeFormat { crypto: controller.crypto_erase });
        }
        let reason = format!(
            "{} is not formatted: its controller would also erase {}, which is to be kept",
            disk.path.display(),
            kept.join(", ")
        );
        if !options.continue_if_failed {
            return Err(DiskError::Erase(format!(
                "{reason}. Set agent_enable_nvme_secure_erase to false to have it overwritten instead"
            )));
        }
        tracing::warn!("{reason}; overwriting instead");
    }
    Ok(if disk.zeroes_itself && options.zeroize && options.iterations <= 1 {
        Method::DiscardAndZero
    } else {
        Method::Overwrite
    })
}

#[cfg(test)]
mod tests {
    use super::{Method, Options, choose};
    use crate::disk::facts::Disk;
    use crate::sys::nvme::Controller;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn options(info: Value) -> Options {
        Options::of(json!({"driver_internal_info": info}).as_object().unwrap()).unwrap()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    const CONTROLLER: Controller =
        Controller { can_format: true, format_hits_all: false, erase_hits_all: false, crypto_erase: false };

    #[test]
    fn defaults_hold_where_the_conductor_says_nothing() {
        let expected = Options {
            iterations: 1,
            zeroize: true,
            continue_if_failed: false,
            nvme: true,
            concurrency: 1,
            skip_read_only: false,
        };
        assert_eq!(options(json!({"agent_erase_devices_iterations": null})), expected);
        assert_eq!(Options::of(&serde_json::Map::new()).unwrap(), expected);
        let set = options(json!({"agent_erase_devices_iterations": "3", "disk_erasure_concurrency": 4,
            "agent_continue_if_ata_erase_failed": true, "agent_enable_nvme_secure_erase": "False"}));
        assert_eq!((set.iterations, set.concurrency, set.continue_if_failed, set.nvme), (3, 4, true, false));
    }

    #[test]
    fn options_that_erase_nothing_or_make_no_sense_are_refused() {
        for info in [
            json!({"agent_erase_devices_iterations": 0, "agent_erase_devices_zeroize": false}),
            json!({"agent_erase_devices_iterations": -1}),
            json!({"agent_erase_devices_zeroize": "perhaps"}),
        ] {
            assert!(Options::of(json!({"driver_internal_info": info}).as_object().unwrap()).is_err(), "{info}");
        }
    }

    #[test]
    fn the_devices_own_zeroes_count_only_where_they_give_what_was_asked() {
        let disk = Disk { zeroes_itself: true, ..Default::default() };
        let going = BTreeSet::new();
        let method = |info: Value| choose(&disk, None, &options(info), &going).unwrap();
        assert_eq!(method(json!({})), Method::DiscardAndZero);
        assert_eq!(method(json!({"agent_erase_devices_iterations": 2})), Method::Overwrite);
        assert_eq!(method(json!({"agent_erase_devices_zeroize": false})), Method::Overwrite);
        let spinning = Disk::default();
        assert_eq!(choose(&spinning, None, &options(json!({})), &going).unwrap(), Method::Overwrite);
    }

    #[test]
    fn a_format_that_would_hit_a_kept_namespace_is_refused() {
        let disk = Disk { namespaces: names(&["nvme0n1", "nvme0n2"]), ..Default::default() };
        let (one, both) = (names(&["nvme0n1"]), names(&["nvme0n1", "nvme0n2"]));
        let default = options(json!({}));
        let crypto = Controller { crypto_erase: true, ..CONTROLLER };
        assert_eq!(choose(&disk, Some(crypto), &default, &one).unwrap(), Method::NvmeFormat { crypto: true });
        for controller in
            [Controller { format_hits_all: true, ..CONTROLLER }, Controller { erase_hits_all: true, ..CONTROLLER }]
        {
            let error = choose(&disk, Some(controller), &default, &one).unwrap_err().to_string();
            assert!(error.contains("would also erase nvme0n2"), "{error}");
            let lenient = options(json!({"agent_continue_if_secure_erase_failed": true}));
            assert_eq!(choose(&disk, Some(controller), &lenient, &one).unwrap(), Method::Overwrite);
            let off = options(json!({"agent_enable_nvme_secure_erase": false}));
            assert_eq!(choose(&disk, Some(controller), &off, &one).unwrap(), Method::Overwrite);
            assert_eq!(choose(&disk, Some(controller), &default, &both).unwrap(), Method::NvmeFormat { crypto: false });
        }
        let no_format = Controller { can_format: false, ..CONTROLLER };
        assert_eq!(choose(&disk, Some(no_format), &default, &one).unwrap(), Method::Overwrite);
    }
}
