//! `mstflint`, `mstconfig`, `mstfwreset` and `lspci`, by argument list, and what they print.

use super::StepError;
use crate::sys::child::Program;
use common::step::StepKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Questions take seconds; on a busy adapter some more.
const ASK: Duration = Duration::from_secs(120);
/// Burning a large image over a slow management path.
const BURN: Duration = Duration::from_secs(30 * 60);
/// Most adapters of one machine.
const MAX_ADAPTERS: usize = 256;

/// The programs, and the step they are run for.
pub struct Tools {
    folder: Option<PathBuf>,
    kind: StepKind,
    step: String,
}

/// A port of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `0000:18:00.0`.
    pub address: String,
    /// `1017`.
    pub device: String,
}

impl Port {
    /// The address without the function: ports of one adapter share it.
    pub fn adapter(&self) -> &str {
        self.address.get(..self.address.len().saturating_sub(1)).unwrap_or_default()
    }
}

/// What a firmware says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// In the flash, or of the image.
    pub version: Option<String>,
    /// At work, where it differs from the flash.
    pub running: Option<String>,
    /// Which board it is for.
    pub psid: Option<String>,
}

impl Tools {
    /// Those of the system folders.
    pub fn of_the_ramdisk(kind: StepKind, step: &str) -> Tools {
        Tools { folder: None, kind, step: step.into() }
    }

    /// Programs of a test.
    #[cfg(test)]
    pub fn in_folder(folder: &Path) -> Tools {
        Tools { folder: Some(folder.into()), kind: StepKind::Clean, step: "update_nvidia_nic_firmware".into() }
    }

    fn run(&self, name: &str, args: &[&str], time: Duration) -> Result<String, StepError> {
        let program = self.folder.as_ref().map_or_else(|| Program::new(name), |folder| Program::new(folder.join(name)));
        let output = program.args(args).time_limit(time).succeed();
        let output = output.map_err(|error| {
            let cause = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            StepError::unexpected(self.kind, &self.step, "ProcessExecutionError", &cause)
        })?;
        Ok(output.text())
    }

    /// All four are there, before anything is changed.
    pub fn check(&self) -> Result<(), StepError> {
        for name in ["mstflint", "mstconfig", "mstfwreset"] {
            self.run(name, &["-v"], ASK)?;
        }
        self.run("lspci", &["--version"], ASK).map(drop)
    }

    /// The network ports of the vendor.
    pub fn ports(&self) -> Result<Vec<Port>, StepError> {
        Ok(self.run("lspci", &["-Dn", "-d", "15b3:"], ASK)?.lines().filter_map(port).take(MAX_ADAPTERS).collect())
    }

    /// The firmware of an adapter.
    pub fn firmware(&self, address: &str) -> Result<Firmware, StepError> {
        Ok(firmware(&self.run("mstflint", &["-d", address, "-qq", "query"], ASK)?))
    }

    /// The firmware in a file.
    pub fn image(&self, file: &Path) -> Result<Firmware, StepError> {
        Ok(firmware(&self.run("mstflint", &["-i", &file.display().to_string(), "query"], ASK)?))
    }

    /// Writes a file into the flash.
    pub fn burn(&self, address: &str, file: &Path) -> Result<(), StepError> {
        self.run("mstflint", &["-d", address, "-i", &file.display().to_string(), "-y", "burn"], BURN).map(drop)
    }

    /// Lets the adapter start its new firmware.
    pub fn reset(&self, address: &str) -> Result<(), StepError> {
        self.run("mstfwreset", &["-d", address, "-y", "--sync", "1", "reset"], BURN).map(drop)
    }

    /// The settings that the adapter has.
    pub fn settings(&self, address: &str) -> Result<Vec<(String, String)>, StepError> {
        Ok(settings(&self.run("mstconfig", &["-d", address, "q"], ASK)?))
    }

    /// The text about all settings that the tool knows.
    pub fn known_settings(&self, address: &str) -> Result<String, StepError> {
        self.run("mstconfig", &["-d", address, "i"], ASK)
    }

    /// Changes settings, `NAME=VALUE` each.
    pub fn set(&self, address: &str, pairs: &[String]) -> Result<(), StepError> {
        let mut args = vec!["-d", address, "-y", "set"];
        args.extend(pairs.iter().map(String::as_str));
        self.run("mstconfig", &args, BURN).map(drop)
    }
}

/// `0000:18:00.0 0200: 15b3:1017 (rev 01)`; classes other than 02xx are no network ports.
pub fn port(line: &str) -> Option<Port> {
    let mut words = line.split_ascii_whitespace();
    let (address, class, id) = (words.next()?, words.next()?, words.next()?);
    let rest = class.strip_prefix("02")?;
    let is_network = rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_digit());
    let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    (is_network && is_address)
        .then(|| Some(Port { address: address.into(), device: id.strip_prefix("15b3:")?.into() }))?
}

/// Lines such as `FW Version:  24.34.1002`, `FW Version(Running): ..`, `PSID: MT_0000000540`.
pub fn firmware(text: &str) -> Firmware {
    let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name).map(str::trim));
    let version = |text: &str| {
        let word: String = text.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
        (word.split('.').filter(|part| !part.is_empty()).count() >= 3).then_some(word)
    };
    Firmware {
        version: value("FW Version:").and_then(version),
        running: value("FW Version(Running):").and_then(version),
        psid: value("PSID:")
            .map(|text| text.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect()),
    }
}

/// Name and value of each line after `Configurations:`.
pub fn settings(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().skip_while(|line| !line.contains("Configurations:")).skip(1);
    let pair = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    lines.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::{Firmware, Port, firmware, port, settings};
    use proptest::prelude::proptest;

    #[test]
    fn what_the_tools_print() {
        let found = port("0000:18:00.0 0200: 15b3:1017 (rev 01)").unwrap();
        assert_eq!((found.adapter(), found.device.as_str()), ("0000:18:00.", "1017"));
        assert_eq!(
            port("0000:18:00.2 0207: 15b3:101b"),
            Some(Port { address: "0000:18:00.2".into(), device: "101b".into() })
        );
        assert_eq!(port("0000:03:00.0 0604: 15b3:1979"), None, "a bridge");
        assert_eq!(port("-oops 0200: 15b3:1"), None, "this goes into argument lists");
        let text = "Image type:            FS4\nFW Version:            24.34.1002\nFW Version(Running):   24.33.900\nPSID:                  MT_0000000540\n";
        let wanted = Firmware {
            version: Some("24.34.1002".into()),
            running: Some("24.33.900".into()),
            psid: Some("MT_0000000540".into()),
        };
        assert_eq!(firmware(text), wanted);
        let text = "Device #1:\n----------\nDevice type: ConnectX6\n\nConfigurations:          Next Boot\n   NUM_OF_VFS            8\n   SRIOV_EN              True(1)\n";
        assert_eq!(settings(text), [("NUM_OF_VFS".into(), "8".into()), ("SRIOV_EN".into(), "True(1)".into())]);
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String) {
            let _ = (firmware(&text), settings(&text), port(&text));
        }
    }
}
