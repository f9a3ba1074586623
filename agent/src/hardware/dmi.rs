//! The `dmi-decode` collector: BIOS, processors and memory as `dmidecode` prints them, as a document.
//!
//! The words for every code of the standard are in that program (DSP0134 has some four hundred processor families);
//! the inventory itself does not need it.

use crate::sys::child::{ChildError, Program};
use crate::sys::text::clean;
use serde_json::{Map, Value, json};

/// Output of machines with hundreds of memory slots is some 200 KiB.
const MAX_OUTPUT: usize = 2 << 20;
/// Most structures and most lines of one that are kept.
const MAX_STRUCTURES: usize = 2048;
const MAX_LINES: usize = 512;

/// Runs `dmidecode` for BIOS, processors and memory.
///
/// # Errors
/// The program is not in the ramdisk, or failed: not root, or no tables.
pub fn decode() -> Result<Value, ChildError> {
    let program = Program::new("dmidecode").args(["-t", "bios", "-t", "processor", "-t", "memory"]);
    let output = program.output_limit(MAX_OUTPUT).succeed()?;
    Ok(parse(&output.text()))
}

/// Structures are separated by empty lines; each begins with its handle and type.
pub fn parse(text: &str) -> Value {
    let (mut bios, mut processors, mut arrays, mut devices) = (Map::new(), Vec::new(), Vec::new(), Vec::new());
    for block in text.split("\n\n").filter(|block| block.starts_with("Handle 0x")).take(MAX_STRUCTURES) {
        let kind = block.split(',').nth(1).and_then(|part| part.trim().strip_prefix("DMI type")?.trim().parse().ok());
        match kind {
            Some(0u8) => bios = fields(block),
            Some(4) => processors.push(Value::from(fields(block))),
            Some(16) => arrays.push(fields(block)),
            Some(17) => devices.push(Value::from(fields(block))),
            _ => {}
        }
    }
    let mut memory = Map::new();
    let counts = || arrays.iter().map(|array| array.get("Number Of Devices")?.as_str()?.parse::<u64>().ok());
    // One array stands for all, with the slots of all; its handle would be wrong then.
    if let (Some(first), Some(count)) = (arrays.first(), counts().sum::<Option<u64>>()) {
        memory = first.clone();
        memory.shift_remove("Handle");
        memory.insert("Number Of Devices".into(), count.into());
    }
    memory.insert("devices".into(), devices.into());
    json!({"bios": bios, "cpu": processors, "memory": memory})
}

/// `Name: value`, or `Name:` and a list of lines; a line without a colon outside a list is the structure's title.
fn fields(block: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut list: Option<String> = None;
    for line in block.lines().take(MAX_LINES).map(|line| clean(line.as_bytes(), 512)) {
        match (line.split_once(':'), &list) {
            (Some((name, value)), _) => {
                let (name, value) = (name.trim().to_owned(), value.trim());
                list = value.is_empty().then(|| name.clone());
                fields.insert(name, if value.is_empty() { json!([]) } else { value.into() });
            }
            (None, _) if line.contains("Handle 0x") => {
                fields.insert("Handle".into(), line.into());
            }
            (None, Some(name)) => {
                if let Some(Value::Array(values)) = fields.get_mut(name) {
                    values.push(line.into());
                }
            }
            (None, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::hardware::tests::oracle;
    use crate::hardware::tests::tables::example;
    use crate::sys::child::Program;
    use proptest::prelude::proptest;
    use serde_json::{Value, json};

    /// What the real program says about our example server; its dump files begin with an entry point (SMBIOS 2.1).
    fn printed() -> Option<String> {
        let tables = example();
        let mut dump = b"_SM_\0\x1f\x02\x08\0\0\0\0\0\0\0\0_DMI_\0".to_vec();
        dump.extend(u16::try_from(tables.len()).unwrap().to_le_bytes());
        dump.extend(32u32.to_le_bytes());
        dump.extend([0, 1, 0x28]);
        dump.resize(32, 0);
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        dump[21] = sum(&dump[16..31]);
        dump[4] = sum(&dump[..31]);
        dump.extend(tables);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), dump).unwrap();
        let program = Program::new("dmidecode").args(["-t", "bios", "-t", "processor", "-t", "memory", "--from-dump"]);
        match program.arg(file.path()).succeed() {
            Ok(output) => Some(output.text()),
            Err(error) => {
                println!("skipped: {error}");
                None
            }
        }
    }

    #[test]
    fn the_example_servers_tables_become_a_document_and_the_reference_makes_the_same() {
        let Some(text) = printed() else { return };
        let seen = parse(&text);
        assert_eq!(seen["bios"]["Version"], "1.12.1", "{text}");
        assert_eq!(seen["cpu"].as_array().unwrap().len(), 3);
        assert_eq!(seen["memory"]["devices"].as_array().unwrap().len(), 6);
        assert_eq!(seen["memory"]["devices"][0]["Size"], "16 GB");
        let code = "import json, sys\nfrom ironic_python_agent import dmi_inspector\n\
            json.dump(dmi_inspector.parse_dmi(json.load(sys.stdin)), sys.stdout)\n";
        let Some(theirs) = oracle(code, &json!(text)) else { return };
        assert_eq!(seen, theirs);
    }

    #[test]
    fn lists_and_odd_lines() {
        let text = "# dmidecode 3.4\n\nHandle 0x0000, DMI type 0, 24 bytes\nBIOS Information\n\tVendor: X: Y\n\tCharacteristics:\n\t\tPCI is supported\n\t\tBoot from CD\n\tEnd: 1\n\nHandle 0x1, DMI type nine\n\tVendor: no\n\nHandle 0x2, DMI type 16, 15 bytes\n\tNumber Of Devices: many\n";
        let seen = parse(text);
        assert_eq!(seen["bios"]["Characteristics"], json!(["PCI is supported", "Boot from CD"]));
        assert_eq!(seen["bios"]["Vendor"], "X: Y");
        assert_eq!(seen["bios"]["Handle"], "Handle 0x0000, DMI type 0, 24 bytes");
        assert_eq!(seen["memory"], json!({"devices": []}), "a count that is none spoils the array, not the rest");
        assert_eq!(parse(""), json!({"bios": {}, "cpu": [], "memory": {"devices": Value::Array(vec![])}}));
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String) {
            let _ = parse(&format!("Handle 0x0, DMI type 16, 1\n{text}"));
        }
    }
}
