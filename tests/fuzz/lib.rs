//! Every parser of agent and conductor that reads what others wrote, as a function of bytes that may not panic, hang or fill the
//! memory. `short` tries each for a moment on every build; `main` is the same under libFuzzer (`.ci/fuzz`, `make fuzz`),
//! which is told by the compiler which branches it reached. `corpus/NAME` holds where both begin.
//!
//! To add a parser: a function in `targets`, a row in [`TARGETS`], a file or two in `corpus/NAME`.

pub mod mutate;
pub mod targets;

use std::path::{Path, PathBuf};

/// One parser.
pub struct Target {
    /// Its name, and its folder's in `corpus`.
    pub name: &'static str,
    /// Gives it the bytes; what it makes of them is checked where something can be.
    pub run: fn(&[u8]),
}

/// All of them.
#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    Target { name: "answers",        run: targets::wire::answers },
    Target { name: "bmc",            run: targets::firmware::bmc },
    Target { name: "boot_option",    run: targets::firmware::boot_option },
    Target { name: "burn_in",        run: targets::machine::burn_in },
    Target { name: "checksum_file",  run: targets::wire::checksum_file },
    Target { name: "compressed",     run: targets::image::compressed },
    Target { name: "config_drive",   run: targets::disk::config_drive },
    #[cfg(feature = "conductor")]
    Target { name: "conductor_packets", run: targets::conductor::packets },
    #[cfg(feature = "conductor")]
    Target { name: "conductor_texts", run: targets::conductor::texts },
    Target { name: "config_file",    run: targets::wire::config_file },
    Target { name: "dmidecode",      run: targets::firmware::dmidecode },
    Target { name: "drive_answers",  run: targets::firmware::drive_answers },
    Target { name: "fat",            run: targets::disk::fat },
    Target { name: "format",         run: targets::image::format },
    Target { name: "gpt",            run: targets::disk::gpt },
    Target { name: "image_info",     run: targets::wire::image_info },
    Target { name: "iso",            run: targets::disk::iso },
    Target { name: "kernel_line",    run: targets::wire::kernel_line },
    Target { name: "lldp",           run: targets::firmware::lldp },
    Target { name: "lookup",         run: targets::wire::lookup },
    Target { name: "machine_texts",  run: targets::machine::machine_texts },
    Target { name: "mbr",            run: targets::disk::mbr },
    Target { name: "network_names",  run: targets::wire::network_names },
    Target { name: "oci",            run: targets::wire::oci },
    Target { name: "qcow2",          run: targets::image::qcow2 },
    Target { name: "raid_config",    run: targets::disk::raid_config },
    Target { name: "root_hints",     run: targets::wire::root_hints },
    Target { name: "smbios",         run: targets::firmware::smbios },
    Target { name: "step_files",     run: targets::wire::step_files },
    Target { name: "sysfs_text",     run: targets::firmware::sysfs_text },
    Target { name: "templates",      run: targets::wire::templates },
    Target { name: "tenant_disk",    run: targets::disk::tenant_disk },
    Target { name: "tenant_texts",   run: targets::disk::tenant_texts },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Where the corpus of a target is.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}
