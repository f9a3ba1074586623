//! Every step this agent offers, as a table, and how one is run.

mod bootc;
pub mod burnin;
mod erase;
mod error;
pub mod evidence;
mod image;
pub mod inject_files;
mod nvram;
mod offer;
mod partition_image;
pub mod provider;
mod raid;
mod reach;
pub mod write_image;

use crate::config::container::ContainerRules;
use crate::stream::request::DownloadRules;
use crate::sys::progress::Progress;
use crate::tls::ClientFiles;
use common::command::CommandError;
use common::step::{OfferedSteps, Step, StepKind};
use common::token::Token;
use offer::{Args, Offer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a step may know. Borrowed for one run; steps run on a thread of their own and may block.
pub struct StepContext {
    /// The node as the conductor sent it with the command (agent-protocol 8.4). Keys may be missing.
    pub node: Map<String, Value>,
    /// The node's ports as sent.
    pub ports: Vec<Value>,
    /// Where progress goes.
    pub progress: Progress,
    /// Rules for downloads, from look-up, kernel line and configuration.
    pub rules: Rules,
    /// Where a step that erases leaves what it did, for the proof.
    pub evidence: evidence::Evidence,
}

/// What the operator allows; filled by `life` from kernel line, configuration and look-up.
#[derive(Clone, Debug)]
pub struct Rules {
    /// MD5 digests are acceptable.
    pub md5_enabled: bool,
    /// Skip the comparison of declared and found format.
    pub disable_deep_image_inspection: bool,
    /// Formats that may be written.
    pub permitted_image_formats: Vec<String>,
    /// Do not verify HTTPS servers (`ipa-insecure`).
    pub insecure: bool,
    /// PEM file with CA certificates; none: the system's bundle.
    pub ca_file: Option<std::path::PathBuf>,
    /// Shown to image servers that ask for a certificate (`certfile`, `keyfile`).
    pub client: Option<ClientFiles>,
    /// Lowest TLS version for downloads, `1.2` or `1.3`.
    pub tls_min_version: String,
    /// User and password for image servers, when the image brings none (`image_server_auth_strategy = http_basic`).
    pub image_server: Option<(String, Token)>,
    /// Connect and per-read time-out of a download, seconds (`ipa-image-download-connection-timeout`).
    pub download_timeout: u64,
    /// Attempts after the first (`ipa-image-download-connection-retries`).
    pub download_retries: u32,
    /// Seconds between attempts (`ipa-image-download-connection-retry-interval`).
    pub download_retry_interval: u64,
    /// Seconds for the whole download, 0 = no limit (`ipa-image-download-max-duration`).
    pub download_max_duration: u64,
    /// `--allow-erase`: devices that may be destroyed although `/` is not a ramdisk.
    pub allow_erase: Vec<std::path::PathBuf>,
    /// `--allow-step`: steps that may change anything although `/` is not a ramdisk.
    pub allow_steps: Vec<String>,
    /// What is allowed of containers.
    pub containers: ContainerRules,
    /// A discard may stand for a secure erase that cannot be had (`ipa-enable-discard-erase`).
    pub enable_discard_erase: bool,
    /// MiB of the EFI system partition and of GRUB's partition of partition images (`[disk_utils]`).
    pub partition_sizes: (u64, u64),
    /// The shared-filesystem guard (`ipa-guard-special-filesystems`).
    pub guard_special_filesystems: bool,
    /// Where to look for the EFI variables; tests point it elsewhere.
    pub efivars: std::path::PathBuf,
    /// Boot entries that cannot be made are only logged (`ipa-ignore-bootloader-failure`).
    pub ignore_bootloader_failure: bool,
    /// Every config drive is made anew as vfat (`config_drive_rebuild`).
    pub config_drive_rebuild: bool,
    /// Priority of the step inject_files (`ipa-inject-files-priority`), 0 to 99.
    pub inject_files_priority: i64,
    /// Bootc images are not deployed (`disable_bootc_deploy`).
    pub disable_bootc_deploy: bool,
}

impl Rules {
    /// How patient and how trusting downloads are.
    pub fn downloads(&self) -> DownloadRules {
        DownloadRules {
            timeout: Duration::from_secs(self.download_timeout.max(1)),
            retries: self.download_retries,
            pause: Duration::from_secs(self.download_retry_interval),
            whole: (self.download_max_duration > 0).then(|| Duration::from_secs(self.download_max_duration)),
            deadline: None,
            insecure: self.insecure,
            ca_file: self.ca_file.clone(),
            client: self.client.clone(),
            tls13_only: self.tls_min_version == "1.3",
        }
    }
}

/// Why a step failed, with the wire's error type (agent-protocol 6.2).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{details}")]
pub struct StepError {
    /// `ImageWriteError`, `BlockDeviceEraseError`, ...
    pub kind: &'static str,
    /// HTTP-like code.
    pub code: u16,
    /// The type's constant message.
    pub message: &'static str,
    /// What happened and what to do.
    pub details: String,
}

impl From<StepError> for CommandError {
    fn from(error: StepError) -> Self {
        CommandError {
            kind: error.kind.into(),
            code: error.code,
            message: error.message.into(),
            details: error.details,
        }
    }
}

pub use bootc::execute_bootc_install;
pub use image::{install_bootloader, partition_uuids};
pub use provider::{DECLARED_STEPS, Wishes, container_steps_in, initialize};

/// Every step this agent offers. To add one: write its file, add its row. Clean steps are abortable, of the service steps only those
/// that say so (ipa-features 16).
static OFFERS: &[Offer] = &[
    Offer { clean: Some(10), ..Offer::new("erase_devices", "deploy", erase::devices) },
    Offer { clean: Some(0), ..Offer::new("erase_devices_express", "deploy", erase::express) },
    Offer { clean: Some(99), deploy: Some(0), ..Offer::new("erase_devices_metadata", "deploy", erase::metadata) },
    Offer { clean: Some(0), ..Offer::new("erase_pstore", "deploy", erase::pstore) },
    Offer {
        clean: Some(0),
        deploy: Some(0),
        args: Args::Declared(&[("match_patterns", nvram::ARGUMENT, false)]),
        ..Offer::new("clean_uefi_nvram", "deploy", nvram::clean)
    },
    Offer {
        deploy: Some(0),
        service: Some(0),
        args: Args::Undeclared,
        ..Offer::new("write_image", "deploy", image::write)
    },
    Offer {
        deploy: Some(0),
        service: Some(0),
        args: Args::Declared(inject_files::ARGUMENTS),
        ..Offer::new(inject_files::NAME, "deploy", inject_files::inject)
    },
    Offer {
        deploy: Some(0),
        service: Some(0),
        args: Args::Undeclared,
        ..Offer::new(bootc::NAME, "deploy", bootc::install).reaches_anything()
    },
    Offer::on_demand("delete_configuration", "raid", raid::delete),
    Offer::on_demand("create_configuration", "raid", raid::create),
    Offer {
        deploy: Some(0),
        service: Some(0),
        args: Args::Declared(raid::APPLY),
        ..Offer::new("apply_configuration", "raid", raid::apply)
    },
    Offer::on_demand("burnin_cpu", "deploy", burnin::cpu).reaches_anything(),
    Offer { clean: Some(0), ..Offer::new("burnin_disk", "deploy", burnin::disk).reaches_anything() },
    Offer::on_demand("burnin_gpu", "deploy", burnin::gpu).reaches_anything(),
    Offer::on_demand("burnin_memory", "deploy", burnin::memory).reaches_anything(),
    Offer::on_demand("burnin_network", "deploy", burnin::network).reaches_anything(),
];

/// The steps offered for `kind`, with the version map that every later call must repeat.
pub fn offered(kind: StepKind) -> OfferedSteps {
    provider::of_this_machine().offered(kind)
}

/// Every hardware manager of this machine with its version.
pub fn versions() -> BTreeMap<String, String> {
    provider::versions_of_this_machine()
}

/// The same with the priorities that the operator chose.
pub fn offered_by(kind: StepKind, rules: &Rules) -> OfferedSteps {
    let mut offered = offered(kind);
    for step in offered.steps.values_mut().flatten().filter(|step| step.step == inject_files::NAME) {
        step.priority = Some(rules.inject_files_priority);
    }
    offered
}

/// Runs one offered step; refuses names that are not offered for `kind` and arguments that are not declared.
///
/// # Errors
/// [`StepError`]; an unknown step is `HardwareManagerMethodNotFound`.
pub fn execute(kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
    provider::of_this_machine().execute(kind, step, context)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{ContainerRules, OFFERS, Rules, StepContext, execute, offered};
    use crate::sys::progress::Progress;
    use common::step::{Step, StepKind};
    use serde_json::{Value, json};

    const KINDS: [StepKind; 3] = [StepKind::Clean, StepKind::Deploy, StepKind::Service];

    pub(crate) fn context(allow_erase: Vec<std::path::PathBuf>, node: Value) -> StepContext {
        let rules = Rules {
            md5_enabled: false,
            disable_deep_image_inspection: false,
            permitted_image_formats: vec!["raw".into(), "qcow2".into()],
            insecure: false,
            ca_file: None,
            client: None,
            enable_discard_erase: false,
            partition_sizes: (550, 1),
            tls_min_version: "1.2".into(),
            image_server: None,
            download_timeout: 5,
            download_retries: 0,
            download_retry_interval: 0,
            download_max_duration: 0,
            allow_erase,
            allow_steps: Vec::new(),
            containers: ContainerRules::default(),
            guard_special_filesystems: true,
            efivars: "/nowhere".into(),
            ignore_bootloader_failure: false,
            config_drive_rebuild: false,
            inject_files_priority: 0,
            disable_bootc_deploy: false,
        };
        StepContext {
            node: node.as_object().unwrap().clone(),
            ports: Vec::new(),
            progress: Progress::default(),
            rules,
            evidence: Default::default(),
        }
    }

    fn step(value: Value) -> Step {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_answers_to_get_steps_have_the_references_shape() {
        let clean = offered(StepKind::Clean).to_value(StepKind::Clean);
        let metadata = json!({"step": "erase_devices_metadata", "interface": "deploy", "priority": 99, "reboot_requested": false, "abortable": true});
        let devices = json!({"step": "erase_devices", "interface": "deploy", "priority": 10, "reboot_requested": false, "abortable": true});
        let steps = clean["clean_steps"]["GenericHardwareManager"].as_array().unwrap();
        assert!(steps.contains(&metadata) && steps.contains(&devices), "{clean}");
        assert_eq!(clean["hardware_manager_version"]["generic_hardware_manager"], "1.2");
        let deploy = offered(StepKind::Deploy).to_value(StepKind::Deploy);
        let metadata =
            json!({"step": "erase_devices_metadata", "interface": "deploy", "priority": 0, "reboot_requested": false});
        assert!(deploy["deploy_steps"]["GenericHardwareManager"].as_array().unwrap().contains(&metadata), "{deploy}");
        let image = json!({"step": "write_image", "interface": "deploy", "priority": 0, "reboot_requested": false});
        assert!(deploy["deploy_steps"]["GenericHardwareManager"].as_array().unwrap().contains(&image), "{deploy}");
        let service = offered(StepKind::Service).to_value(StepKind::Service);
        let steps = service["service_steps"]["GenericHardwareManager"].as_array().unwrap();
        assert!(steps.contains(&image), "{service}");
        let burn = json!({"step": "burnin_cpu", "interface": "deploy", "priority": 0, "reboot_requested": false, "abortable": true});
        assert!(steps.contains(&burn), "{service}");
        assert!(!clean.to_string().contains("write_image"));
    }

    #[test]
    fn no_step_is_offered_twice_or_nowhere() {
        for (at, offer) in OFFERS.iter().enumerate() {
            assert!(OFFERS[..at].iter().all(|other| other.name != offer.name), "{}", offer.name);
            assert!(KINDS.iter().any(|&kind| offer.priority(kind).is_some()), "{}", offer.name);
        }
    }

    #[test]
    fn what_is_not_offered_is_not_run() {
        let context = context(vec![], json!({}));
        for (kind, name) in [
            (StepKind::Clean, "get_os_install_device"),
            (StepKind::Deploy, "erase_devices"),
            (StepKind::Service, "erase_devices_metadata"),
        ] {
            let error = execute(kind, &step(json!({"step": name, "interface": "deploy"})), &context).unwrap_err();
            assert_eq!(
                (error.kind, error.details),
                ("HardwareManagerMethodNotFound", format!("Could not find method: {name}"))
            );
        }
    }

    #[test]
    fn undeclared_arguments_are_refused() {
        let order = step(json!({"step": "erase_devices", "interface": "deploy", "args": {"force": true}}));
        let error = execute(StepKind::Clean, &order, &context(vec![], json!({}))).unwrap_err();
        assert_eq!((error.kind, error.message), ("CleaningError", "Clean step failed"));
        assert!(
            error.details.starts_with("Unexpected exception performing clean step erase_devices. TypeError: "),
            "{error}"
        );
    }

    #[test]
    fn an_erase_runs_on_what_is_allowed_and_fails_with_its_type() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 1 << 20]).unwrap();
        let order = step(json!({"step": "erase_devices", "interface": "deploy", "priority": 10, "args": null}));
        let allowed = || vec![file.path().to_path_buf()];
        execute(StepKind::Clean, &order, &context(allowed(), json!({}))).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), vec![0; 1 << 20]);

        let broken = json!({"driver_internal_info": {"agent_erase_devices_iterations": "many"}});
        let error = execute(StepKind::Clean, &order, &context(allowed(), broken)).unwrap_err();
        assert_eq!(error.kind, "CleaningError");
        assert!(
            error.details.contains("erase_devices. ValueError: driver_internal_info.agent_erase_devices_iterations"),
            "{error}"
        );
        let missing = context(vec!["/nowhere/disk".into()], json!({}));
        let error = execute(StepKind::Clean, &order, &missing).unwrap_err();
        assert_eq!(
            (error.kind, error.code, error.message),
            ("BlockDeviceEraseError", 500, "Error erasing block device")
        );
    }
}
