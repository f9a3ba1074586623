//! The fields of volume connectors and targets, in the order of the answers (rest-api section 13).

use super::args::cut;
use super::field::{Access, Field, View, object, row, unset, uuid};
use super::out::Out;
use super::resource::Resource;
use crate::model::volume::{VolumeConnector, VolumeTarget};
use crate::policy::{Target, may};
use serde_json::{Value, json};

macro_rules! required_text_row {
    ($name:literal, $field:ident) => {
        row!($name 32 Both true, |it, _, out| out.put(&it.$field), |it, name, value| {
            it.$field = required_text(name, value)?;
            Ok(())
        })
    };
}

macro_rules! uuid_row {
    () => {
        row!("uuid" 32 Create true, |it, _, out| out.put(&it.meta.uuid), |it, name, value| {
            if let Some(uuid) = uuid(name, value)? { it.meta.uuid = uuid; }
            Ok(())
        })
    };
}

macro_rules! node_row {
    () => {
        row!("node_uuid" 32 Both true, |it, _, out| out.put(&it.node_uuid), |it, name, value| {
            // Without a value it stays where it is.
            let stored = it.meta.id != 0;
            let shown = cut(value.as_str().unwrap_or_default());
            match uuid(name, value) {
                Err(_) if stored => return Err(format!("Expected a UUID for {name}, but received {shown}.")),
                node => it.node_uuid = node?.unwrap_or(it.node_uuid),
            }
            Ok(())
        })
    };
}

/// How to reach a volume is for those whose policy says so.
fn show_properties(target: &VolumeTarget, view: &View, out: Out) {
    let rule = "baremetal:volume:view_target_properties";
    match view.reader {
        Some(reader) if !may(reader, rule, &Target::NONE) => out.put(&json!({
            "redacted_contents": format!("** Value redacted: Requires permission {rule} access. Permission denied. **")
        })),
        _ => out.put(&target.properties.shown(&[])),
    }
}

fn required_text(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.chars().count() <= 255 => Ok(text),
        Value::String(text) => Err(format!("'{}' is too long", cut(&text))),
        Value::Null => Err(format!("'{name}' is a required property")),
        other => Err(format!("{} is not of type 'string'", cut(&other.to_string()))),
    }
}

fn index(name: &str, value: &Value) -> Result<i64, String> {
    match value {
        Value::Null => Err(format!("'{name}' is a required property")),
        Value::String(text) => Err(format!("'{}' is not of type 'integer'", cut(text))),
        // JSON does not tell 1.0 from 1.
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0 && number.abs() < 2e9) => {
            let whole = number.as_f64().map(|number| format!("{number:.0}")).unwrap_or_default();
            whole.parse().map_err(|_| format!("{number} is not of type 'integer'"))
        }
        other => Err(format!("{} is not of type 'integer'", cut(&other.to_string()))),
    }
}

const FIELDS_AND_DETAIL: &str = "Can't fetch a subset of fields with 'detail' set";

#[rustfmt::skip]
const CONNECTORS: &[Field<VolumeConnector>] = &[
    uuid_row!(),
    row!("created_at" 32 Read true, |it, _, out| out.time(it.meta.created_at), unset),
    row!("updated_at" 32 Read true, |it, _, out| out.time(it.meta.updated_at), unset),
    required_text_row!("connector_id", connector_id),
    row!("extra" 32 Both false, |it, _, out| out.put(&it.extra), |it, name, value| {
        it.extra = object(name, value)?;
        Ok(())
    }),
    node_row!(),
    required_text_row!("type", kind),
    row!("links" 32 Read false, |it, view, out| out.links(view, format_args!("volume/connectors/{}", it.meta.uuid)), unset),
];

#[rustfmt::skip]
const TARGETS: &[Field<VolumeTarget>] = &[
    uuid_row!(),
    row!("created_at" 32 Read true, |it, _, out| out.time(it.meta.created_at), unset),
    row!("updated_at" 32 Read true, |it, _, out| out.time(it.meta.updated_at), unset),
    row!("boot_index" 32 Both true, |it, _, out| out.put(&it.boot_index), |it, name, value| {
        it.boot_index = index(name, &value)?;
        Ok(())
    }),
    row!("extra" 32 Both false, |it, _, out| out.put(&it.extra), |it, name, value| {
        it.extra = object(name, value)?;
        Ok(())
    }),
    node_row!(),
    row!("properties" 32 Both false, show_properties, |it, name, value| {
        it.properties = object(name, value)?.into();
        Ok(())
    }),
    required_text_row!("volume_id", volume_id),
    required_text_row!("volume_type", volume_type),
    row!("links" 32 Read false, |it, view, out| out.links(view, format_args!("volume/targets/{}", it.meta.uuid)), unset),
];

impl Resource for VolumeConnector {
    fn table() -> &'static [Field<Self>] {
        CONNECTORS
    }
    const SHORT: &'static [&'static str] = &["uuid", "node_uuid", "type", "connector_id"];
    const LIST: &'static str = "connectors";
    const PATH: &'static str = "volume/connectors";
    const NOUN: &'static str = "connector";
    const DETAIL_SINCE: u16 = 32;
    const FIELDS_AND_DETAIL: &'static str = FIELDS_AND_DETAIL;
}

impl Resource for VolumeTarget {
    fn table() -> &'static [Field<Self>] {
        TARGETS
    }
    const SHORT: &'static [&'static str] = &["uuid", "node_uuid", "volume_type", "boot_index", "volume_id"];
    const LIST: &'static str = "targets";
    const PATH: &'static str = "volume/targets";
    const NOUN: &'static str = "target";
    const DETAIL_SINCE: u16 = 32;
    const FIELDS_AND_DETAIL: &'static str = FIELDS_AND_DETAIL;

    fn kept(&self, field: &str) -> Option<Value> {
        (field == "properties").then(|| Value::Object(self.properties.map().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_whole_number() {
        assert_eq!(index("boot_index", &json!(1.0)), Ok(1));
        assert_eq!(index("boot_index", &json!(-1)), Ok(-1));
        for bad in [json!("1"), json!(true), json!(1.5), json!(null), json!(1e300)] {
            assert!(index("boot_index", &bad).is_err(), "{bad}");
        }
    }
}
