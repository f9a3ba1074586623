//! JSON schemas out of short words: `text`, `uuid?`, `[text]`, `=on|off`, `Node`; and out of the field tables.

use super::super::field::Field;
use super::super::resource::Resource;
use super::super::{node_fields, port_fields};
use crate::model::allocation::Allocation;
use crate::model::chassis::Chassis;
use crate::model::deploy_template::DeployTemplate;
use crate::model::port_group::PortGroup;
use crate::model::runbook::Runbook;
use crate::model::volume::{VolumeConnector, VolumeTarget};
use crate::rules::stored::StoredRule;
use serde_json::{Map, Value, json};

/// The schema of a word. A question mark: or null. Capitals: a component. Brackets: a list. `=a|b`: one of these words.
pub fn typed(word: &str) -> Value {
    if let Some(word) = word.strip_suffix('?') {
        let mut schema = typed(word);
        if let Some(kind @ Value::String(_)) = schema.get_mut("type") {
            *kind = json!([kind.clone(), "null"]);
        } else if schema != json!({}) {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        return schema;
    }
    if let Some(inner) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
        return json!({"type": "array", "items": typed(inner)});
    }
    if let Some(words) = word.strip_prefix('=') {
        return json!({"type": "string", "enum": words.split('|').collect::<Vec<_>>()});
    }
    match word {
        "text" => json!({"type": "string"}),
        "uuid" => json!({"type": "string", "format": "uuid"}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "int" => json!({"type": "integer"}),
        "number" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "object" => json!({"type": "object", "additionalProperties": true}),
        name if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
            json!({"$ref": format!("#/components/schemas/{name}")})
        }
        _ => json!({}),
    }
}

/// The parts of `name:type name!:type`; an exclamation mark: must be there.
pub fn parts(spec: &'static str) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    spec.split_whitespace().filter_map(|part| {
        let (name, kind) = part.split_once(':')?;
        Some((name.trim_end_matches('!'), kind, name.ends_with('!')))
    })
}

/// An object of such parts.
pub fn fields_of(spec: &'static str) -> Value {
    let properties: Map<String, Value> = parts(spec).map(|(name, kind, _)| (name.into(), typed(kind))).collect();
    let required: Vec<&str> = parts(spec).filter(|part| part.2).map(|part| part.0).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// What the fields of the tables are, by name; the tables themselves know how to show and set them. A name that is not
/// here may be anything.
const KINDS: &[(&str, &str)] = &[
    ("uuid", "uuid"),
    ("created_at", "time"),
    ("updated_at", "time?"),
    ("automated_clean", "bool?"),
    ("boot_mode", "text?"),
    ("clean_step", "object"),
    ("conductor_group", "text"),
    ("console_enabled", "bool"),
    ("disable_power_off", "bool"),
    ("deploy_step", "object"),
    ("description", "text?"),
    ("driver", "text"),
    ("driver_info", "object"),
    ("driver_internal_info", "object"),
    ("extra", "object"),
    ("fault", "text?"),
    ("health", "text?"),
    ("inspection_finished_at", "time?"),
    ("inspection_started_at", "time?"),
    ("instance_info", "object"),
    ("instance_name", "text?"),
    ("instance_uuid", "uuid?"),
    ("last_error", "text?"),
    ("lessee", "text?"),
    ("maintenance", "bool"),
    ("maintenance_reason", "text?"),
    ("name", "text?"),
    ("network_data", "object"),
    ("owner", "text?"),
    ("parent_node", "text?"),
    ("power_state", "text?"),
    ("properties", "object"),
    ("protected", "bool"),
    ("protected_reason", "text?"),
    ("provision_state", "text?"),
    ("provision_updated_at", "time?"),
    ("raid_config", "object"),
    ("reservation", "text?"),
    ("resource_class", "text?"),
    ("retired", "bool"),
    ("retired_reason", "text?"),
    ("secure_boot", "bool?"),
    ("service_step", "object"),
    ("shard", "text?"),
    ("target_power_state", "text?"),
    ("target_provision_state", "text?"),
    ("target_raid_config", "object"),
    ("traits", "[text]"),
    ("links", "[Link]"),
    ("conductor", "text?"),
    ("allocation_uuid", "uuid?"),
    ("chassis_uuid", "uuid?"),
    ("ports", "[Link]"),
    ("states", "[Link]"),
    ("portgroups", "[Link]"),
    ("volume", "[Link]"),
    ("address", "text?"),
    ("internal_info", "object"),
    ("is_smartnic", "bool"),
    ("local_link_connection", "object"),
    ("physical_network", "text?"),
    ("pxe_enabled", "bool"),
    ("node_uuid", "uuid"),
    ("vendor", "text?"),
    ("category", "text?"),
    ("available_for_dynamic_portgroup", "bool"),
    ("portgroup_uuid", "uuid?"),
    ("nodes", "[Link]"),
    ("mode", "text?"),
    ("standalone_ports_supported", "bool"),
    ("dynamic_portgroup", "bool"),
    ("connector_id", "text"),
    ("type", "text"),
    ("boot_index", "int"),
    ("volume_id", "text"),
    ("volume_type", "text"),
    ("candidate_nodes", "[text]"),
    ("state", "=allocating|active|error"),
    ("public", "bool"),
    ("disable_ramdisk", "bool"),
    ("steps", "[Step]"),
    ("priority", "int"),
    ("sensitive", "bool"),
    ("phase", "text?"),
    // Of a sensitive rule neither is shown.
    ("conditions", "[RuleCondition]?"),
    ("actions", "[RuleAction]?"),
];

fn kind(name: &str) -> &'static str {
    let known = KINDS.iter().find(|kind| kind.0 == name).map(|kind| kind.1);
    known.unwrap_or(if name.ends_with("_interface") { "text?" } else { "any" })
}

/// As it is answered: any of its fields, by version and selection.
fn answered<T>(table: &[Field<T>]) -> Value {
    let property = |field: &Field<T>| {
        let mut schema = typed(kind(field.name));
        if field.since > 1 {
            schema["x-since"] = json!(format!("1.{}", field.since));
        }
        (field.name.to_owned(), schema)
    };
    json!({"type": "object", "properties": table.iter().map(property).collect::<Map<_, _>>()})
}

/// As it is created: what POST may carry.
fn created<T>(table: &[Field<T>], required: &[&str]) -> Value {
    let settable = table.iter().filter(|field| field.on_create());
    let properties: Map<String, Value> = settable
        .map(|field| {
            let kind = kind(field.name);
            let nullable = if required.contains(&field.name) || kind.ends_with('?') {
                kind.to_owned()
            } else {
                format!("{kind}?")
            };
            (field.name.to_owned(), typed(&nullable))
        })
        .collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// An allocation may be without a node, which is why `node_uuid` is not what it is elsewhere.
fn allocation(mut schema: Value) -> Value {
    schema["properties"]["node_uuid"] = typed("uuid?");
    schema
}

/// `node` is no field of an allocation: it says which node in use is meant.
fn backfill(mut schema: Value) -> Value {
    schema["properties"]["node"] = typed("text?");
    schema
}

/// Steps of templates and of runbooks are not alike, and both must bring what a step of a request may leave out.
fn with_steps(mut schema: Value, step: &'static str) -> Value {
    schema["properties"]["steps"] = json!({"type": "array", "minItems": 1, "items": typed(step)});
    schema
}

/// A name that is there.
fn named(mut schema: Value) -> Value {
    schema["properties"]["name"] = json!({"type": "string", "minLength": 1, "maxLength": 255});
    schema
}

/// A rule that does nothing is none; built-in rules have priorities that nobody may give.
fn rule(mut schema: Value) -> Value {
    schema["properties"]["actions"] = json!({"type": "array", "minItems": 1, "items": typed("RuleAction")});
    schema["properties"]["conditions"] = typed("[RuleCondition]");
    schema["properties"]["priority"] = json!({"type": "integer", "minimum": 0, "maximum": 9999});
    schema["properties"]["phase"] = typed("=main");
    schema
}

/// What rules, templates and runbooks are made of, and the parts of machines.
fn kept_lists() -> Value {
    json!({
        "DeployTemplate": with_steps(named(answered(DeployTemplate::table())), "TemplateStep"),
        "DeployTemplateCreate": with_steps(named(created(DeployTemplate::table(), &["name", "steps"])), "TemplateStep"),
        "Runbook": with_steps(named(answered(Runbook::table())), "RunbookStep"),
        "RunbookCreate": with_steps(named(created(Runbook::table(), &["name", "steps"])), "RunbookStep"),
        "InspectionRule": answered(StoredRule::table()),
        "InspectionRuleCreate": rule(created(StoredRule::table(), &["actions"])),
        "TemplateStep": fields_of("interface!:StepInterface step!:text args!:object priority!:any"),
        "RunbookStep": fields_of("interface!:StepInterface step!:text args:object order!:any"),
        "StepInterface": typed("=vendor|power|management|firmware|deploy|bios|raid"),
        "RuleCondition": fields_of("op!:text args:any loop:any multiple:=any|all|first|last"),
        "RuleAction": fields_of("op!:text args:any loop:any"),
        "BiosSetting": fields_of("name:text value:text? created_at:time updated_at:time? links:[Link] attribute_type:text? allowable_values:[any]? lower_bound:int? upper_bound:int? min_length:int? max_length:int? read_only:bool? reset_required:bool? unique:bool?"),
        "FirmwareComponent": fields_of("component:text initial_version:text? current_version:text? last_version_flashed:text? created_at:time updated_at:time? vendor:text? model:text? serial_number:text?"),
        "Indicator": fields_of("name:text component:text readonly:bool states:[text] links:[Link]"),
        "Shard": fields_of("name:text? count:int"),
    })
}

/// Every component schema.
pub fn components() -> Value {
    let mut all = json!({
        "Node": answered(node_fields::TABLE),
        "NodeCreate": created(node_fields::TABLE, &["driver"]),
        "Port": answered(port_fields::TABLE),
        "PortCreate": created(port_fields::TABLE, &["address", "node_uuid"]),
        "Chassis": answered(Chassis::table()),
        "ChassisCreate": created(Chassis::table(), &[]),
        "PortGroup": answered(PortGroup::table()),
        "PortGroupCreate": created(PortGroup::table(), &["node_uuid"]),
        "VolumeConnector": answered(VolumeConnector::table()),
        "VolumeConnectorCreate": created(VolumeConnector::table(), &["connector_id", "node_uuid", "type"]),
        "VolumeTarget": answered(VolumeTarget::table()),
        "VolumeTargetCreate": created(VolumeTarget::table(), &["boot_index", "node_uuid", "volume_id", "volume_type"]),
        "Allocation": allocation(answered(Allocation::table())),
        "AllocationCreate": backfill(created(Allocation::table(), &[])),
        "Link": fields_of("href!:text rel!:text type:text"),
        "Patch": {"type": "array", "items": {
            "type": "object", "required": ["op", "path"],
            "properties": {"op": typed("=add|replace|remove|test|move|copy"), "path": {"type": "string", "pattern": "^/"}, "value": {}},
        }},
        "PowerTarget": typed("=power on|power off|rebooting|soft power off|soft rebooting"),
        "Step": fields_of("interface!:text step!:text args:object priority:any order:any"),
        "History": fields_of("uuid:uuid created_at:time severity:text event:text links:[any] conductor:text event_type:text user:text? project:text? state:text? target_provision_state:text? duration_seconds:number? proof:object"),
        "Conductor": fields_of("created_at:time updated_at:time hostname:text conductor_group:text links:[Link] drivers:[text] alive:bool"),
        "Driver": fields_of("name:text hosts:[text] links:[Link] properties:[Link] type:text"),
        "Error": {
            "type": "object",
            "description": "`error_message` holds another JSON document: faultcode, faultstring, debuginfo; or code, title, description.",
            "properties": {"error_message": {"type": "string"}, "faultcode": {"type": "string"},
                "faultstring": {"type": "string"}, "error": {"type": "object"}},
        },
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, kept_lists()) {
        all.extend(more);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_schemas() {
        assert_eq!(typed("text?"), json!({"type": ["string", "null"]}));
        assert_eq!(typed("[Link]")["items"]["$ref"], "#/components/schemas/Link");
        assert_eq!(typed("Node?")["anyOf"][1], json!({"type": "null"}));
        assert_eq!(fields_of("a!:int b:=x|y")["required"], json!(["a"]));
    }

    #[test]
    fn every_field_of_a_table_has_a_kind() {
        fn of<T: 'static>(table: &'static [Field<T>]) -> impl Iterator<Item = &'static str> {
            table.iter().map(|field| field.name)
        }
        let names = of(node_fields::TABLE).chain(of(port_fields::TABLE)).chain(of(Chassis::table()));
        let names = names.chain(of(PortGroup::table())).chain(of(Allocation::table()));
        let names = names.chain(of(VolumeConnector::table())).chain(of(VolumeTarget::table()));
        let names = names.chain(of(DeployTemplate::table())).chain(of(Runbook::table())).chain(of(StoredRule::table()));
        for name in names {
            assert_ne!(kind(name), "any", "say in KINDS what `{name}` is");
        }
    }
}
