//! The wanted RAID configuration: what it may hold (rest-api section 7.4), and what its keys mean. Pure.

use serde_json::{Map, Value};

/// What a property of a logical disk may be.
enum Rule {
    Text,
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from 0, or `MAX`.
    Size,
    /// A whole number from 1.
    Count,
    /// Names, or two or more descriptions.
    Disks,
}

/// Properties of a logical disk with their meaning, in the order in which the reference looks at them.
const PROPERTIES: &[(&str, Rule, &str)] = &[
    (
        "raid_level",
        Rule::Word(&["JBOD", "0", "1", "2", "5", "6", "1+0", "5+0", "6+0"]),
        "RAID level for the logical disk. Valid values are 'JBOD', '0', '1', '2', '5', '6', '1+0', '5+0' and '6+0'. Required.",
    ),
    (
        "size_gb",
        Rule::Size,
        "Size in GiB (Integer) for the logical disk. Use 'MAX' as size_gb if this logical disk is supposed to use the rest of the space available. Required.",
    ),
    (
        "volume_name",
        Rule::Text,
        "Name of the volume to be created. If this is not specified, it will be auto-generated. Optional.",
    ),
    (
        "is_root_volume",
        Rule::Flag,
        "Specifies whether this disk is a root volume. By default, this is False. Optional.",
    ),
    (
        "share_physical_disks",
        Rule::Flag,
        "Specifies whether other logical disks can share physical disks with this logical disk. By default, this is False. Optional.",
    ),
    (
        "disk_type",
        Rule::Word(&["hdd", "ssd"]),
        "The type of disk preferred. Valid values are 'hdd' and 'ssd'. If this is not specified, disk type will not be a selection criterion for choosing backing physical disks. Optional.",
    ),
    (
        "interface_type",
        Rule::Word(&["sata", "scsi", "sas"]),
        "The interface type of disk. Valid values are 'sata', 'scsi' and 'sas'. If this is not specified, interface type will not be a selection criterion for choosing backing physical disks. Optional.",
    ),
    (
        "number_of_physical_disks",
        Rule::Count,
        "Number of physical disks to use for this logical disk. By default, the driver uses the minimum number of disks required for that RAID level. Optional.",
    ),
    (
        "controller",
        Rule::Text,
        "Controller to use for this logical disk. If not specified, the driver will choose a suitable RAID controller on the bare metal node. Optional.",
    ),
    (
        "physical_disks",
        Rule::Disks,
        "The physical disks to use for this logical disk. If not specified, the driver will choose suitable physical disks to use. Optional.",
    ),
];

/// Key to meaning, for `GET /v1/drivers/{}/raid/logical_disk_properties`.
pub fn logical_disk_properties() -> Map<String, Value> {
    PROPERTIES.iter().map(|(name, _, meaning)| ((*name).to_owned(), Value::String((*meaning).to_owned()))).collect()
}

/// Checks a wanted configuration that is not empty.
///
/// # Errors
/// The sentence of the refusal.
pub fn check(config: &Map<String, Value>) -> Result<(), String> {
    let disks = schema(config).map_err(|text| format!("RAID config validation error: {text}"))?;
    let roots = disks.iter().filter(|disk| disk.get("is_root_volume") == Some(&Value::Bool(true))).count();
    if roots > 1 {
        return Err(format!("Raid config cannot have more than one root volume. {roots} root volumes were specified"));
    }
    Ok(())
}

fn schema(config: &Map<String, Value>) -> Result<&Vec<Value>, String> {
    let disks = match config.get("logical_disks") {
        None => return Err("'logical_disks' is a required property".into()),
        Some(Value::Array(disks)) if disks.is_empty() => return Err("[] should be non-empty".into()),
        Some(Value::Array(disks)) => disks,
        Some(other) => return Err(format!("{} is not of type 'array'", shown(other))),
    };
    extra(config, &["logical_disks"])?;
    for disk in disks {
        let Value::Object(disk) = disk else { return Err(format!("{} is not of type 'object'", shown(disk))) };
        for (name, rule, _) in PROPERTIES {
            if let Some(value) = disk.get(*name) {
                obey(rule, value)?;
            }
        }
        if let Some(missing) = ["raid_level", "size_gb"].into_iter().find(|name| !disk.contains_key(*name)) {
            return Err(format!("'{missing}' is a required property"));
        }
        let known: Vec<&str> = PROPERTIES.iter().map(|row| row.0).collect();
        extra(disk, &known)?;
        if disk.contains_key("physical_disks") && !disk.contains_key("controller") {
            return Err("'controller' is a dependency of 'physical_disks'".into());
        }
    }
    Ok(disks)
}

fn extra(map: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let unknown: Vec<String> = map
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .take(8)
        .map(|name| format!("'{}'", cut(name)))
        .collect();
    match unknown.len() {
        0 => Ok(()),
        1 => Err(format!("Additional properties are not allowed ({} was unexpected)", unknown[0])),
        _ => Err(format!("Additional properties are not allowed ({} were unexpected)", unknown.join(", "))),
    }
}

fn obey(rule: &Rule, value: &Value) -> Result<(), String> {
    let not = |kind: &str| Err(format!("{} is not of type '{kind}'", shown(value)));
    match rule {
        Rule::Text if !value.is_string() => not("string"),
        Rule::Flag if !value.is_boolean() => not("boolean"),
        Rule::Word(words) => match value.as_str() {
            None => not("string"),
            Some(word) if words.contains(&word) => Ok(()),
            Some(_) => Err(format!("{} is not one of {}", shown(value), listed(words))),
        },
        Rule::Size => match value {
            Value::String(word) if word == "MAX" => Ok(()),
            Value::String(_) => Err(format!("{} is not one of ['MAX']", shown(value))),
            Value::Number(number) if number.as_u64().is_some() => Ok(()),
            Value::Number(number) if number.as_i64().is_some() => {
                Err(format!("{number} is less than the minimum of 0"))
            }
            _ => Err(format!("{} is not valid under any of the given schemas", shown(value))),
        },
        Rule::Count => match value.as_i64() {
            None => not("integer"),
            Some(count) if count <= 0 => Err(format!("{count} is less than or equal to the minimum of 0")),
            Some(_) => Ok(()),
        },
        Rule::Disks => match value.as_array() {
            None => not("array"),
            Some(disks) if disks.iter().all(Value::is_string) => Ok(()),
            Some(disks) if disks.len() > 1 && disks.iter().all(Value::is_object) => Ok(()),
            Some(disks) => {
                let wrong = disks.iter().find(|disk| !disk.is_string()).unwrap_or(value);
                Err(format!("{} is not of type 'string'", shown(wrong)))
            }
        },
        _ => Ok(()),
    }
}

fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// A client's value, short enough for an error text.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", cut(text)),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => "None".into(),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
#[path = "raid_tests.rs"]
mod tests;
