//! The proof of an erase: what was done to which disk, and what was read back, signed by the agent that did it.
//!
//! It travels in the result of a clean step beside `clean_result`, as `erase_proof`, which a real Ironic passes over. The
//! signature is over the document in canonical form ([`canonical`]), by the key of the TLS certificate that the conductor
//! has pinned since the agent's first heartbeat. So whoever keeps the certificate can verify it at any later time, with
//! nothing but a JSON printer and an ECDSA verifier.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the document calls itself.
pub const FORMAT: &str = "wrought-erase-proof/1";
/// Its key in the result of a step.
pub const KEY: &str = "erase_proof";
/// The longest that is kept, in bytes of its canonical form: hundreds of disks.
pub const MAX_BYTES: usize = 1 << 20;

/// One run of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EraseProof {
    /// [`FORMAT`].
    pub format: String,
    /// The node as the agent was told.
    pub node_uuid: String,
    /// The run of the command, so that an old proof proves nothing again.
    pub command_id: String,
    /// `erase_devices`, ...
    pub step: String,
    /// Version of the agent.
    pub agent_version: String,
    /// Seconds since 1970 by the ramdisk's clock.
    pub started_at: u64,
    /// As above.
    pub ended_at: u64,
    /// What was erased.
    pub disks: Vec<DiskProof>,
    /// What was not: device to reason.
    pub passed_over: BTreeMap<String, String>,
}

/// One disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskProof {
    /// `/dev/sda`.
    pub device: String,
    /// As the disk says.
    pub model: Option<String>,
    /// As the disk says.
    pub serial: Option<String>,
    /// World wide name.
    pub wwn: Option<String>,
    /// Bytes.
    pub size: u64,
    /// `nvme-format-crypto`, `ata-security-erase-enhanced`, `overwrite`, `metadata-wipe`, ...
    pub method: String,
    /// Passes over the whole disk by the host; 0 where the device erased by itself.
    pub passes: u64,
    /// What a person should know: a method that failed before this one did it.
    pub notes: Vec<String>,
    /// Seconds since 1970.
    pub started_at: u64,
    /// As above.
    pub ended_at: u64,
    /// What was read afterwards.
    pub read_back: ReadBack,
}

/// The samples that were read after the erase, past every cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// `zeroes`, `random` (the last pass, byte by byte), `marks-gone` (random marks written before the erase cannot be read).
    pub expected: String,
    /// First byte and length of every sample.
    pub places: Vec<(u64, u64)>,
    /// `pass`. A disk that fails is an error of the step and has no proof.
    pub verdict: String,
}

/// A document with its signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedProof {
    /// An [`EraseProof`]; kept as it came, because every byte of it is signed.
    pub document: Value,
    /// None: the agent has no key (plain HTTP).
    pub signature: Option<Signature>,
}

/// Over the canonical form of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// `ecdsa-p384-sha384`, `ecdsa-p256-sha256` (both in DER), `rsa-pss-sha512`, `ed25519`.
    pub algorithm: String,
    /// Base64.
    pub value: String,
}

/// JSON in its one form: keys sorted, no blanks, texts escaped only where they must be (RFC 8785 for documents whose keys
/// are ASCII and whose numbers are whole).
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let items: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", items.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_value_does() {
        let one = json!({"b": [1, {"z": null, "a": "ä\"\n"}], "a": true});
        assert_eq!(canonical(&one), "{\"a\":true,\"b\":[1,{\"a\":\"ä\\\"\\n\",\"z\":null}]}");
        let other: serde_json::Value =
            serde_json::from_str("{ \"a\": true, \"b\": [1, {\"a\": \"\\u00e4\\\"\\n\", \"z\": null}]}").unwrap();
        assert_eq!(canonical(&other), canonical(&one));
        assert_ne!(canonical(&json!({"a": 1})), canonical(&json!({"a": "1"})));
    }
}
