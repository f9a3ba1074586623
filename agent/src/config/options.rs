//! The table of options: name on the kernel line, name in a file, and what it sets.
//!
//! To add an option: a field in `Config`, a row here. `NOTED` rows are options of the reference that this agent knows and does not use.

use super::{Config, ConfigError, KernelLine};
use common::token::Token;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

type Set = fn(&mut Config, &str) -> Result<(), String>;

/// `(name on the kernel line or "", name in a file, setter)`.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Set)] = &[
    ("ipa-agent-token", "agent_token", |c, v| { c.agent_token = (!v.is_empty()).then(|| Token::new(v)); Ok(()) }),
    ("ipa-global-request-id", "global_request_id", |c, v| header_text(&mut c.global_request_id, v)),
    ("ipa-listen-host", "listen_host", |c, v| text(&mut c.listen_host, v)),
    ("ipa-listen-port", "listen_port", |c, v| number(&mut c.listen_port, v)),
    ("ipa-advertise-host", "advertise_host", |c, v| text(&mut c.advertise_host, v)),
    ("ipa-advertise-port", "advertise_port", |c, v| parsed(v).map(|port| c.advertise_port = Some(port))),
    ("ipa-advertise-protocol", "advertise_protocol", |c, v| one_of(&mut c.advertise_protocol, v, &["http", "https"])),
    ("ipa-ip-lookup-attempts", "ip_lookup_attempts", |c, v| between(&mut c.ip_lookup_attempts, v, 1, 100_000)),
    ("ipa-ip-lookup-timeout", "ip_lookup_sleep", |c, v| seconds(&mut c.ip_lookup_sleep, v)),
    ("ipa-network-interface", "network_interface", |c, v| text(&mut c.network_interface, v)),
    ("ipa-lookup-timeout", "lookup_timeout", |c, v| seconds(&mut c.lookup_timeout, v)),
    ("ipa-lookup-interval", "lookup_interval", |c, v| seconds(&mut c.lookup_interval, v)),
    ("ipa-inspection-collectors", "inspection_collectors", |c, v| { let names = list(v); c.inspection_collectors = (!names.is_empty()).then_some(names); Ok(()) }),
    ("ipa-inspection-dhcp-wait-timeout", "inspection_dhcp_wait_timeout", |c, v| seconds(&mut c.inspection_dhcp_wait, v)),
    ("ipa-inspection-dhcp-all-interfaces", "inspection_dhcp_all_interfaces", |c, v| flag(&mut c.inspection_dhcp_all, v)),
    ("ipa-collect-lldp", "collect_lldp", |c, v| flag(&mut c.collect_lldp, v)),
    ("ipa-lldp-timeout", "lldp_timeout", |c, v| seconds(&mut c.lldp_timeout, v)),
    ("ipa-enable-vlan-interfaces", "enable_vlan_interfaces", |c, v| { c.vlan_interfaces = list(v); Ok(()) }),
    ("ipa-inspection-benchmarks", "inspection_benchmarks", |c, v| some_of(&mut c.inspection_benchmarks, v, &["cpu", "disk", "mem"])),
    ("ipa-ntp-server", "ntp_server", |c, v| time_server(&mut c.ntp_server, v)),
    ("", "fail_if_clock_not_set", |c, v| flag(&mut c.fail_if_clock_not_set, v)),
    ("ipa-use-mdns", "", |c, v| flag(&mut c.mdns.use_mdns, v)),
    ("ipa-hardware-initialization-delay", "hardware_initialization_delay", |c, v| seconds(&mut c.hardware_initialization_delay, v)),
    ("ipa-disk-wait-attempts", "disk_wait_attempts", |c, v| between(&mut c.disk_wait_attempts, v, 0, 100_000)),
    ("ipa-disk-wait-delay", "disk_wait_delay", |c, v| seconds(&mut c.disk_wait_delay, v)),
    ("ipa-insecure", "insecure", |c, v| flag(&mut c.insecure, v)),
    ("ipa-tls-min-version", "tls_min_version", |c, v| one_of(&mut c.tls_min_version, v, &["1.2", "1.3"])),
    ("ipa-image-tls-min-version", "image_tls_min_version", |c, v| { let mut version = String::new(); one_of(&mut version, v, &["1.2", "1.3"])?; c.image_tls_min_version = Some(version); Ok(()) }),
    ("ipa-tls-cipher-suites", "tls_cipher_suites", |c, v| text(&mut c.tls_cipher_suites, v)),
    ("ipa-tls-certificate-curve", "tls_certificate_curve", |c, v| one_of(&mut c.tls_certificate_curve, v, &["p256", "p384", "p521"])),
    ("ipa-image-download-connection-timeout", "image_download_connection_timeout", |c, v| between(&mut c.download_timeout, v, 1, YEAR)),
    ("ipa-image-download-connection-retries", "image_download_connection_retries", |c, v| between(&mut c.download_retries, v, 0, 100_000)),
    ("ipa-image-download-connection-retry-interval", "image_download_connection_retry_interval", |c, v| between(&mut c.download_retry_interval, v, 0, YEAR)),
    ("ipa-image-download-max-duration", "image_download_max_duration", |c, v| between(&mut c.download_max_duration, v, 0, YEAR)),
    ("ipa-ironic-api-version", "ironic_api_version", |c, v| api_version(&mut c.ironic_api_version, v)),
    ("ipa-enable-discard-erase", "enable_discard_erase", |c, v| flag(&mut c.enable_discard_erase, v)),
    ("ipa-guard-special-filesystems", "guard_special_filesystems", |c, v| flag(&mut c.guard_special_filesystems, v)),
    ("ipa-ignore-bootloader-failure", "ignore_bootloader_failure", |c, v| flag(&mut c.ignore_bootloader_failure, v)),
    ("ipa-inject-files-priority", "inject_files_priority", |c, v| priority(&mut c.inject_files_priority, v)),
    ("", "config_drive_rebuild", |c, v| flag(&mut c.config_drive_rebuild, v)),
    ("", "disable_bootc_deploy", |c, v| flag(&mut c.disable_bootc_deploy, v)),
    ("ipa-http-request-timeout", "http_request_timeout", |c, v| at_least_a_second(&mut c.http_request_timeout, v)),
    ("ipa-debug", "debug", |c, v| { let mut on = false; flag(&mut on, v)?; c.debug = Some(on); Ok(()) }),
    ("ipa-hide-fa-macs", "hide_fa_macs", |c, v| flag(&mut c.hide_fa_macs, v)),
    ("", "listen_tls", |c, v| flag(&mut c.listen_tls, v)),
    ("", "tls_cert_file", |c, v| path(&mut c.tls_cert_file, v)),
    ("", "tls_key_file", |c, v| path(&mut c.tls_key_file, v)),
    ("", "enable_auto_tls", |c, v| flag(&mut c.enable_auto_tls, v)),
    ("", "auto_tls_allowed_clock_skew", |c, v| seconds(&mut c.auto_tls_allowed_clock_skew, v)),
    ("", "cafile", |c, v| path(&mut c.cafile, v)),
    ("", "certfile", |c, v| path(&mut c.certfile, v)),
    ("", "keyfile", |c, v| path(&mut c.keyfile, v)),
    ("", "md5_enabled", |c, v| flag(&mut c.md5_enabled, v)),
    ("", "disable_deep_image_inspection", |c, v| flag(&mut c.disable_deep_image_inspection, v)),
    ("", "image_server_auth_strategy", |c, v| one_of(&mut c.image_server_auth_strategy, v, &["noauth", "http_basic"])),
    ("", "image_server_user", |c, v| text(&mut c.image_server_user, v)),
    ("", "image_server_password", |c, v| { c.image_server_password = Some(Token::new(v)); Ok(()) }),
    ("", "permitted_image_formats", |c, v| { c.permitted_image_formats = list(v); Ok(()) }),
];

/// Section `[mdns]`: name and setter. The list of options that answers may set is here, out of their reach.
#[rustfmt::skip]
const MDNS: &[(&str, Set)] = &[
    ("use_mdns", |c, v| flag(&mut c.mdns.use_mdns, v)),
    ("allowed_overrides", |c, v| { c.mdns.allowed_overrides = list(v); Ok(()) }),
    ("lookup_attempts", |c, v| parsed(v).map(|n: u32| c.mdns.lookup_attempts = n.clamp(1, 100))),
    ("interfaces", |c, v| list(v).iter().map(|text| parsed(text)).collect::<Result<_, _>>().map(|all| c.mdns.interfaces = all)),
];

/// Section `[disk_utils]`: what is left of it where no dd and no partprobe is run. Sizes in MiB; a smaller ESP is no FAT32.
#[rustfmt::skip]
const DISK_UTILS: &[(&str, Set)] = &[
    ("efi_system_partition_size", |c, v| between(&mut c.efi_system_partition_size, v, 34, 32_768)),
    ("bios_boot_partition_size", |c, v| between(&mut c.bios_boot_partition_size, v, 1, 1024)),
];

/// Seconds. Anything beyond is a mistake, and time arithmetic must not overflow on it.
const YEAR: u64 = 31_536_000;

/// Options with URLs: a wrong one ends the program with a sentence instead of a complaint in a log nobody can reach.
const URLS: &[(&str, &str)] = &[("ipa-api-url", "api_url"), ("ipa-inspection-callback-url", "inspection_callback_url")];

/// Known to the reference, without effect here.
const NOTED: &[&str] = &["enable_bios_bootloader_install", "ipa-standalone"];

/// Takes what the kernel line says.
pub fn apply_kernel_line(config: &mut Config, line: &KernelLine) -> Result<(), ConfigError> {
    config.bootif = line.get("BOOTIF").map(String::from);
    config.boot_method = line.get("boot_method").map(String::from);
    for (name, value) in line.iter().filter(|pair| pair.0.starts_with("ipa-")) {
        if let Some((_, key)) = URLS.iter().find(|row| row.0 == name) {
            set_urls(config, name, key, value)?;
        } else if let Some((_, _, set)) = TABLE.iter().find(|row| row.0 == name) {
            complain(set(config, value), config, &format!("kernel parameter `{name}`"));
        } else if NOTED.contains(&name) {
            config.complaints.push(format!("kernel parameter `{name}` has no effect in this agent"));
        } else {
            config.complaints.push(format!("kernel parameter `{name}` is not known to this agent; ignored"));
        }
    }
    Ok(())
}

/// Takes one line of a file.
pub fn apply_file(config: &mut Config, file: &str, section: &str, key: &str, value: &str) -> Result<(), ConfigError> {
    if section == "container" {
        complain(config.containers.set(key, &value.into()), config, &format!("{file}: `{key}` of [container]"));
        return Ok(());
    }
    for (name, table) in [("mdns", MDNS), ("disk_utils", DISK_UTILS)] {
        if let Some((_, set)) = table.iter().find(|row| section == name && row.0 == key) {
            complain(set(config, value), config, &format!("{file}: [{name}] `{key}`"));
            return Ok(());
        }
    }
    if section != "DEFAULT" {
        config.complaints.push(format!("{file}: section [{section}] has no effect in this agent (`{key}`)"));
        return Ok(());
    }
    if URLS.iter().any(|row| row.1 == key) {
        return set_urls(config, key, key, value);
    }
    match TABLE.iter().find(|row| row.1 == key) {
        Some((_, _, set)) => complain(set(config, value), config, &format!("{file}: `{key}`")),
        None => config.complaints.push(format!("{file}: option `{key}` has no effect in this agent")),
    }
    Ok(())
}

/// The kernel line's word on the log beats the files', in both directions: it is said for one boot, by somebody who looks for
/// something.
pub fn apply_debug(config: &mut Config, line: &KernelLine) {
    let mut on = false;
    if line.get("ipa-debug").is_some_and(|value| flag(&mut on, value).is_ok()) {
        config.debug = Some(on);
    }
}

/// Takes one flag; here a wrong value is an error, for a person typed it.
pub fn apply_flag(config: &mut Config, key: &str, value: &str) -> Result<(), ConfigError> {
    if URLS.iter().any(|row| row.1 == key) {
        return set_urls(config, key, key, value);
    }
    let set = TABLE.iter().find(|row| row.1 == key).map(|row| row.2);
    let fail = |why| ConfigError::Flag { option: key.to_owned(), why };
    set.ok_or_else(|| fail("no such option".into()))?(config, value).map_err(fail)
}

fn complain(outcome: Result<(), String>, config: &mut Config, what: &str) {
    if let Err(why) = outcome {
        config.complaints.push(format!("{what}: {why}; the default stays"));
    }
}

fn set_urls(config: &mut Config, option: &str, key: &str, value: &str) -> Result<(), ConfigError> {
    let mut urls = Vec::new();
    let by_mdns = value.trim() == "mdns";
    for text in list(value).into_iter().filter(|_| !by_mdns) {
        let refuse = |why: String| ConfigError::Url { option: option.to_owned(), text: text.clone(), why };
        let url = url::Url::parse(&text).map_err(|cause| refuse(cause.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(refuse("it needs http:// or https:// and a host".into()));
        }
        urls.push(text.trim_end_matches('/').to_owned());
    }
    match key {
        "api_url" => (config.api_urls, config.api_by_mdns) = (urls, by_mdns),
        _ => (config.inspection_callback_urls, config.inspection_by_mdns) = (urls, by_mdns),
    }
    Ok(())
}

fn list(value: &str) -> Vec<String> {
    value.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()).map(String::from).collect()
}

fn parsed<T: FromStr>(value: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    value.trim().parse().map_err(|cause| format!("`{value}` is not a usable number ({cause})"))
}

fn number<T: FromStr>(slot: &mut T, value: &str) -> Result<(), String>
where
    T::Err: std::fmt::Display,
{
    parsed(value).map(|number| *slot = number)
}

/// A step's priority below that of the ramdisk's own boot, which is 100.
fn priority(slot: &mut u8, value: &str) -> Result<(), String> {
    match parsed(value)? {
        number @ 0..=99 => *slot = number,
        number => return Err(format!("`{number}` is not between 0 and 99")),
    }
    Ok(())
}

fn seconds(slot: &mut Duration, value: &str) -> Result<(), String> {
    let number: f64 = parsed(value)?;
    if !(0.0..=YEAR as f64).contains(&number) {
        return Err(format!("`{value}` seconds is out of range"));
    }
    *slot = Duration::from_secs_f64(number);
    Ok(())
}

/// A time-out of zero would make every call fail.
fn at_least_a_second(slot: &mut Duration, value: &str) -> Result<(), String> {
    let mut time = Duration::ZERO;
    seconds(&mut time, value)?;
    if time < Duration::from_secs(1) {
        return Err(format!("`{value}` seconds is less than one"));
    }
    *slot = time;
    Ok(())
}

fn between<T: FromStr + PartialOrd + std::fmt::Display + Copy>(
    slot: &mut T,
    value: &str,
    least: T,
    most: T,
) -> Result<(), String>
where
    T::Err: std::fmt::Display,
{
    let number: T = parsed(value)?;
    if number < least || number > most {
        return Err(format!("`{number}` is not between {least} and {most}"));
    }
    *slot = number;
    Ok(())
}

/// `1.115`; another text would be ignored when the API is called.
fn api_version(slot: &mut Option<String>, value: &str) -> Result<(), String> {
    let parts = value.trim().split_once('.');
    let is_number = |part: &str| part.parse::<u16>().is_ok();
    if !value.is_empty() && !parts.is_some_and(|(major, minor)| is_number(major) && is_number(minor)) {
        return Err(format!("`{value}` is not of the form 1.115"));
    }
    text(slot, value.trim())
}

fn text(slot: &mut Option<String>, value: &str) -> Result<(), String> {
    *slot = (!value.is_empty()).then(|| value.to_owned());
    Ok(())
}

/// Goes into name resolution only, but is checked as strictly as where it once went into a shell.
fn time_server(slot: &mut Option<String>, value: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_' | b'-');
    if value.len() > 253 || !value.bytes().all(plain) || value.starts_with('-') {
        return Err("is neither an address nor a host name".into());
    }
    text(slot, value)
}

fn header_text(slot: &mut Option<String>, value: &str) -> Result<(), String> {
    if value.len() > 128 || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("is not fit for an HTTP header".into());
    }
    text(slot, value)
}

fn path(slot: &mut Option<PathBuf>, value: &str) -> Result<(), String> {
    *slot = (!value.is_empty()).then(|| PathBuf::from(value));
    Ok(())
}

fn one_of(slot: &mut String, value: &str, allowed: &[&str]) -> Result<(), String> {
    if !allowed.contains(&value) {
        return Err(format!("`{value}` is none of {}", allowed.join(", ")));
    }
    *slot = value.to_owned();
    Ok(())
}

fn some_of(slot: &mut Vec<String>, value: &str, allowed: &[&str]) -> Result<(), String> {
    let words = list(value);
    if let Some(word) = words.iter().find(|word| !allowed.contains(&word.as_str())) {
        return Err(format!("`{word}` is none of {}", allowed.join(", ")));
    }
    *slot = words;
    Ok(())
}

fn flag(slot: &mut bool, value: &str) -> Result<(), String> {
    *slot = match value.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => true,
        "0" | "f" | "false" | "off" | "n" | "no" => false,
        _ => return Err(format!("`{value}` is neither true nor false")),
    };
    Ok(())
}
