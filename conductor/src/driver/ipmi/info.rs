//! driver_info of the `ipmitool` interfaces: every key Ironic knows, checked, typed.

use super::bridge::{Bridge, Hop, LOCAL};
use super::secret::Secret;
use super::suite::Suite;
use crate::driver::traits::DriverError;
use crate::model::secret_map::SecretMap;
use serde_json::Value;

/// RMCP's port.
const PORT: u16 = 623;
/// Longest user name in RAKP 1 and in IPMI 1.5.
const USER_MAX: usize = 16;
/// Longest host name.
const ADDRESS_MAX: usize = 255;
/// K_g, in bytes.
const KG_MAX: usize = 20;

/// Levels by the words of driver_info, with their numbers.
const LEVELS: &[(&str, u8)] = &[("ADMINISTRATOR", 4), ("CALLBACK", 1), ("OPERATOR", 3), ("USER", 2)];

/// Keys and what they mean: `GET /v1/drivers/ipmi/properties`.
#[rustfmt::skip]
pub const PROPERTIES: &[(&str, &str)] = &[
    ("ipmi_address", "IP address or host name of the BMC. Required."),
    ("ipmi_username", "User name at the BMC, up to 16 bytes; the nameless user if not set. Optional."),
    ("ipmi_password", "Password, up to 20 bytes (16 with IPMI 1.5). Optional."),
    ("ipmi_port", "UDP port of the BMC; 623 if not set. Optional."),
    ("ipmi_priv_level", "Privilege level of the session: ADMINISTRATOR (if not set), CALLBACK, OPERATOR or USER. Optional."),
    ("ipmi_hex_kg_key", "The BMC's K_g key for IPMI 2.0 as hexadecimal digits, up to 40. Optional."),
    ("ipmi_protocol_version", "\"2.0\" (if not set) or \"1.5\". Optional."),
    ("ipmi_cipher_suite", "Number of the IPMI 2.0 cipher suite; if not set, 17 is tried and then 3. Optional."),
    ("ipmi_bridging", "How the controller is reached through the BMC: \"no\" (if not set), \"single\" or \"dual\". Optional."),
    ("ipmi_local_address", "Our IPMB address in bridged requests; that of the BMC (0x20) if not set. Optional."),
    ("ipmi_target_address", "IPMB address of the controller. Required with ipmi_bridging \"single\" or \"dual\"."),
    ("ipmi_target_channel", "Channel of the controller. Required with ipmi_bridging \"single\" or \"dual\"."),
    ("ipmi_transit_address", "IPMB address of the controller in between. Required with ipmi_bridging \"dual\"."),
    ("ipmi_transit_channel", "Channel of the controller in between. Required with ipmi_bridging \"dual\"."),
    ("ipmi_force_boot_device", "True for a BMC that forgets the boot device: it is then set before each power-on. Optional."),
    ("ipmi_disable_boot_timeout", "False for a BMC that fails when told to keep the boot device for longer than 60 seconds. Optional."),
];
/// Keys of the console interface.
pub const CONSOLE_PROPERTIES: &[(&str, &str)] =
    &[("ipmi_terminal_port", "TCP port at which the serial console is served. Needed for a console only.")];

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPMI 1.5.
    Old,
    /// IPMI 2.0.
    Plus,
}

/// How to get into one BMC. Two nodes with the same access share its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Name or address.
    pub address: String,
    /// UDP port.
    pub port: u16,
    /// User name, up to 16 bytes.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// K_g.
    pub kg: Option<Secret>,
    /// Privilege level by its number.
    pub level: u8,
    /// Version.
    pub version: Version,
    /// The one suite to use.
    pub suite: Option<Suite>,
}

/// All of driver_info.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpmiInfo {
    /// The BMC.
    pub access: Access,
    /// The way from the BMC to the node's controller.
    pub bridge: Bridge,
    /// Set the boot device before each power-on.
    pub force_boot_device: bool,
    /// Set: overrides the option of the same name.
    pub disable_boot_timeout: Option<bool>,
    /// For the console.
    pub terminal_port: Option<u16>,
}

impl IpmiInfo {
    /// Reads driver_info; the first thing wrong is the error.
    pub fn parse(info: &SecretMap) -> Result<IpmiInfo, DriverError> {
        let version = version(info)?;
        Ok(IpmiInfo {
            access: Access {
                address: address(info)?,
                port: port(info, "ipmi_port")?.unwrap_or(PORT),
                user: bounded(info, "ipmi_username", USER_MAX)?,
                password: Secret::new(
                    bounded(info, "ipmi_password", if version == Version::Old { 16 } else { 20 })?.into_bytes(),
                ),
                kg: kg(info)?,
                level: level(info)?,
                version,
                suite: suite(info, version)?,
            },
            bridge: bridge(info)?,
            force_boot_device: flag(info, "ipmi_force_boot_device")?.unwrap_or(false),
            disable_boot_timeout: flag(info, "ipmi_disable_boot_timeout")?,
            terminal_port: port(info, "ipmi_terminal_port")?,
        })
    }
}

fn invalid<T>(text: impl Into<String>) -> Result<T, DriverError> {
    Err(DriverError::Invalid(text.into()))
}

/// Text, or a number as text; nothing for null and for what is empty.
fn word(info: &SecretMap, key: &str) -> Result<Option<String>, DriverError> {
    match info.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => invalid(format!("{key} must be text or a number in the node's driver_info")),
    }
}

fn address(info: &SecretMap) -> Result<String, DriverError> {
    let Some(address) = word(info, "ipmi_address")? else {
        return invalid("Missing the following IPMI credentials in node's driver_info: ['ipmi_address'].");
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&address);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
    if bare.is_empty() || bare.len() > ADDRESS_MAX || !bare.bytes().all(fits) {
        return invalid("ipmi_address is neither an IP address nor a host name");
    }
    Ok(bare.into())
}

fn port(info: &SecretMap, key: &str) -> Result<Option<u16>, DriverError> {
    let Some(text) = word(info, key)? else { return Ok(None) };
    match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => invalid(format!("{key} \"{text}\" is not a valid port.")),
    }
}

fn bounded(info: &SecretMap, key: &str, longest: usize) -> Result<String, DriverError> {
    let text = word(info, key)?.unwrap_or_default();
    if text.len() > longest || text.contains('\0') {
        return invalid(format!(
            "{key} must be at most {longest} bytes without NUL: the protocol has no room for more"
        ));
    }
    Ok(text)
}

fn level(info: &SecretMap) -> Result<u8, DriverError> {
    let Some(text) = word(info, "ipmi_priv_level")? else { return Ok(LEVELS[0].1) };
    match LEVELS.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => Ok(*number),
        None => {
            let names: Vec<_> = LEVELS.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            invalid(format!("Invalid privilege level value:{text}, the valid value can be one of {names}"))
        }
    }
}

fn version(info: &SecretMap) -> Result<Version, DriverError> {
    match word(info, "ipmi_protocol_version")?.as_deref() {
        None | Some("2.0") => Ok(Version::Plus),
        Some("1.5") => Ok(Version::Old),
        Some(text) => {
            invalid(format!("Invalid IPMI protocol version value {text}, the valid value can be one of 2.0, 1.5"))
        }
    }
}

fn suite(info: &SecretMap, version: Version) -> Result<Option<Suite>, DriverError> {
    let Some(text) = word(info, "ipmi_cipher_suite")? else { return Ok(None) };
    let Ok(id) = text.trim().parse::<u8>() else {
        return invalid(format!("Invalid cipher suite {text}, expected a number"));
    };
    if version == Version::Old {
        return invalid("Cipher suites cannot be used with IPMI 1.5");
    }
    match Suite::by_id(id) {
        Some(suite) => Ok(Some(suite)),
        None => invalid(format!(
            "Cipher suite {id} is not spoken here: set ipmi_cipher_suite to one of {} (17 is the best, then 3)",
            Suite::known_ids()
        )),
    }
}

fn kg(info: &SecretMap) -> Result<Option<Secret>, DriverError> {
    let Some(text) = word(info, "ipmi_hex_kg_key")? else { return Ok(None) };
    if text.len() % 2 != 0 {
        return invalid("Number of ipmi_hex_kg_key characters is not even");
    }
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8); // below 16
    let bytes: Option<Vec<u8>> =
        text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    match bytes {
        Some(bytes) if bytes.len() <= KG_MAX => Ok(Some(Secret::new(bytes))),
        _ => invalid("ipmi_hex_kg_key must be hexadecimal digits, 40 of them at most"),
    }
}

fn bridge(info: &SecretMap) -> Result<Bridge, DriverError> {
    let kind = word(info, "ipmi_bridging")?;
    let needed: &[&str] = match kind.as_deref() {
        None | Some("no") => return Ok(Bridge::No),
        Some("single") => &["ipmi_target_channel", "ipmi_target_address"],
        Some("dual") => &["ipmi_target_channel", "ipmi_target_address", "ipmi_transit_channel", "ipmi_transit_address"],
        Some(text) => {
            return invalid(format!(
                "Invalid value for ipmi_bridging: {text}, the valid value can be one of: ['single', 'dual', 'no']"
            ));
        }
    };
    let missing: Vec<_> = needed.iter().filter(|key| !info.contains_key(**key)).map(|key| format!("'{key}'")).collect();
    if !missing.is_empty() {
        return invalid(format!("[{}] not provided", missing.join(", ")));
    }
    let hop = |channel: &str, address: &str| {
        Ok(Hop { channel: number(info, channel, 15)?, address: number(info, address, u8::MAX)? })
    };
    let target = hop("ipmi_target_channel", "ipmi_target_address")?;
    let local =
        if info.contains_key("ipmi_local_address") { number(info, "ipmi_local_address", u8::MAX)? } else { LOCAL };
    if kind.as_deref() == Some("single") {
        return Ok(Bridge::Single { local, target });
    }
    Ok(Bridge::Dual { local, transit: hop("ipmi_transit_channel", "ipmi_transit_address")?, target })
}

/// A decimal or 0x number.
fn number(info: &SecretMap, key: &str, most: u8) -> Result<u8, DriverError> {
    let text = word(info, key)?.unwrap_or_default();
    let parsed = match text.trim().strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.trim().parse(),
    };
    match parsed {
        Ok(number) if number <= most => Ok(number),
        _ => invalid(format!("{key} \"{text}\" must be a number from 0 to {most}, decimal or with 0x")),
    }
}

fn flag(info: &SecretMap, key: &str) -> Result<Option<bool>, DriverError> {
    match info.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => match info.flag(key) {
            Some(flag) => Ok(Some(flag)),
            None => invalid(format!("{key} must be true or false")),
        },
    }
}

#[cfg(test)]
#[path = "info_tests.rs"]
mod tests;
