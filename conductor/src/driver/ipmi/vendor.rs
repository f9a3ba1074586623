//! `ipmitool` vendor: raw bytes to the BMC, and its reset. Both also by name in Ironic; `send_raw` is a step too.

use super::bmc::Bmc;
use super::bridge::Bridge;
use super::command::{Command, mc_reset, raw};
use crate::driver::steps::{Arg, StepDone, StepFlow, StepRow, Steps, unknown};
use crate::driver::traits::DriverError;
use crate::driver::vendor::{Vendor, VendorMethod};
use crate::model::node::InterfaceKind;
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;
use tracing::info;

/// Longest request: a lan message holds no more.
const RAW_MAX: usize = 250;

const RESET: VendorMethod = VendorMethod {
    name: "bmc_reset",
    http_methods: &["POST"],
    is_async: true,
    description: "Reset the BMC. Required argument: 'warm' (Boolean) - for warm (True) or cold (False) reset.",
    exclusive: true,
};
const RAW: VendorMethod = VendorMethod {
    name: "send_raw",
    description: "Send raw bytes to the BMC. Required argument: 'raw_bytes' - a string of raw bytes (e.g. '0x00 0x01').",
    ..RESET
};

const RAW_ARGS: &[Arg] =
    &[("raw_bytes", "A string of raw bytes to convey the request to transmit to the remote BMC.", true)];

const fn step(flow: StepFlow, abortable: bool, requires_ramdisk: bool) -> StepRow {
    StepRow { flow, name: "send_raw", priority: 0, abortable, requires_ramdisk, args: RAW_ARGS }
}

/// The steps of this interface.
pub const STEPS: &[StepRow] =
    &[step(StepFlow::Deploy, true, false), step(StepFlow::Clean, false, false), step(StepFlow::Service, false, true)];

/// Vendor methods of one machine behind one BMC.
pub struct IpmiVendor {
    /// The BMC.
    pub bmc: Arc<Bmc>,
    /// The way to the node's controller.
    pub bridge: Bridge,
    /// For logs.
    pub node_uuid: String,
}

impl IpmiVendor {
    async fn send(&self, command: &Command) -> Result<(), DriverError> {
        // What the bytes are is not logged: they may carry a password.
        info!(node = %self.node_uuid, bmc = %self.bmc.access().address, command = command.what, "IPMI vendor command");
        self.bmc.call(self.bridge, command).await.map(drop).map_err(|error| error.of(command.what))
    }
}

/// `0x06 0x01 ...`: network function, command, data; hexadecimal with 0x, else decimal.
fn bytes(args: &Map<String, Value>) -> Result<Command, DriverError> {
    let wrong = |text: &str| DriverError::Invalid(format!("raw_bytes cannot be sent: {text}"));
    let Some(text) = args.get("raw_bytes").and_then(Value::as_str).filter(|text| !text.trim().is_empty()) else {
        return Err(DriverError::Invalid("Parameter raw_bytes (string of bytes) was not specified.".into()));
    };
    let byte = |word: &str| match word.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    };
    let bytes: Option<Vec<u8>> = text.split_whitespace().take(RAW_MAX + 1).map(byte).collect();
    match bytes.as_deref() {
        Some([netfn @ 0..0x40, number, data @ ..]) if data.len() < RAW_MAX - 1 => {
            Ok(raw(*netfn, *number, data.to_vec()))
        }
        Some([_, _, ..]) => Err(wrong("the network function must be below 0x40, and all at most 250 bytes")),
        Some(_) => Err(wrong("a network function and a command are needed")),
        None => Err(wrong("each word must be a byte, as in '0x06 0x01'")),
    }
}

/// Python's idea of a Boolean in a text.
fn warm(args: &Map<String, Value>) -> bool {
    match args.get("warm") {
        None => true,
        Some(Value::Bool(value)) => *value,
        Some(Value::String(word)) => {
            ["1", "t", "true", "on", "y", "yes"].contains(&word.trim().to_ascii_lowercase().as_str())
        }
        Some(other) => other.as_i64() == Some(1),
    }
}

#[async_trait]
impl Vendor for IpmiVendor {
    fn methods(&self) -> &'static [VendorMethod] {
        &[RESET, RAW]
    }

    fn check(&self, method: &str, args: &Map<String, Value>) -> Result<(), DriverError> {
        if method == RAW.name { bytes(args).map(drop) } else { Ok(()) }
    }

    async fn call(&self, method: &str, args: &Map<String, Value>) -> Result<Value, DriverError> {
        let command = if method == RAW.name { bytes(args)? } else { mc_reset(warm(args)) };
        self.send(&command).await.map(|()| Value::Null)
    }
}

#[async_trait]
impl Steps for IpmiVendor {
    async fn run(&self, step: &str, args: &Map<String, Value>) -> Result<StepDone, DriverError> {
        if step != RAW.name {
            return Err(unknown(InterfaceKind::Vendor, step));
        }
        self.send(&bytes(args)?).await.map(|()| StepDone::default())
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, warm};
    use serde_json::{Value, json};

    fn args(value: Value) -> serde_json::Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn raw_bytes_are_function_command_and_data() {
        let command = bytes(&args(json!({"raw_bytes": " 0x06 0x01  255 "}))).unwrap();
        assert_eq!((command.netfn, command.number, command.data.as_slice()), (6, 1, [255].as_slice()));
        assert!(command.once, "nobody knows whether it may be repeated");
        for wrong in [
            json!({}),
            json!({"raw_bytes": ""}),
            json!({"raw_bytes": 5}),
            json!({"raw_bytes": "6"}),
            json!({"raw_bytes": "0x06 0x100"}),
            json!({"raw_bytes": "0x40 0x01"}),
            json!({"raw_bytes": "0x06 $(id)"}),
            json!({"raw_bytes": "1 ".repeat(300)}),
        ] {
            assert!(bytes(&args(wrong.clone())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reset_is_warm_unless_somebody_says_no() {
        assert!(warm(&args(json!({}))) && warm(&args(json!({"warm": "TRUE"}))));
        assert!(!warm(&args(json!({"warm": false}))) && !warm(&args(json!({"warm": "no"}))));
    }
}
