//! What changed since an inventory was saved: disks and interfaces are recognised by what is printed on them, not by
//! the names the kernel gave them this time.

use crate::sys::text::clean;
use serde_json::{Map, Value};
use std::fmt;

/// Values that change by themselves from boot to boot; compared only when asked for.
const PASSING: [&str; 12] = [
    "hostname",
    "boot",
    "memory.total",
    "cpu.frequency",
    "health",
    "hidden_interfaces",
    "interfaces[].ipv4_address",
    "interfaces[].ipv6_address",
    "interfaces[].has_carrier",
    "interfaces[].lldp",
    "interfaces[].speed_mbps",
    "disks[].name",
];
/// Deepest nesting compared; inventories have three levels.
const MAX_DEPTH: usize = 16;
/// Most differences told.
const MAX_TOLD: usize = 1000;

/// One difference.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Difference {
    /// `disks[S5SUNA0R700111].size`
    pub path: String,
    /// Null: it was not there.
    pub saved: Value,
    /// Null: it is not there.
    pub found: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Value| match value {
            Value::Null => "nothing".to_owned(),
            Value::String(text) => format!("`{}`", clean(text.as_bytes(), 100)),
            other => clean(other.to_string().as_bytes(), 160),
        };
        write!(out, "{}: was {}, is {}", clean(self.path.as_bytes(), 200), shown(&self.saved), shown(&self.found))
    }
}

/// The inventory in a saved document: bare, as `agent inventory --format json` prints it, or inside what the conductor
/// gives (`{"inventory": ..}`).
///
/// # Errors
/// Something else.
pub fn inventory_of(document: Value) -> Result<Value, String> {
    let inner = match document {
        Value::Object(mut map) if map.get("inventory").is_some_and(Value::is_object) => {
            map.swap_remove("inventory").unwrap_or_default()
        }
        other => other,
    };
    let is_one = inner.get("interfaces").is_some_and(Value::is_array);
    if is_one { Ok(inner) } else { Err("it has no list `interfaces`: it is no inventory".into()) }
}

/// Compares; `passing` also what changes by itself.
pub fn differences(saved: &Value, found: &Value, passing: bool) -> Vec<Difference> {
    let mut walk = Walk { told: Vec::new(), passing };
    walk.compare("", "", saved, found, 0);
    walk.told
}

struct Walk {
    told: Vec<Difference>,
    passing: bool,
}

impl Walk {
    /// `path` is for people; `kind` is the same with `[]` for any element.
    fn compare(&mut self, path: &str, kind: &str, saved: &Value, found: &Value, depth: usize) {
        let passes = !self.passing && PASSING.contains(&kind);
        if saved == found || passes || depth > MAX_DEPTH || self.told.len() >= MAX_TOLD {
            return;
        }
        let below = |base: &str, key: &str| if base.is_empty() { key.to_owned() } else { format!("{base}.{key}") };
        match (saved, found) {
            (Value::Object(saved), Value::Object(found)) => {
                let more = found.keys().filter(|key| !saved.contains_key(*key));
                let keys: Vec<&String> = saved.keys().chain(more).collect();
                for key in keys {
                    let get = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                    self.compare(&below(path, key), &below(kind, key), &get(saved), &get(found), depth + 1);
                }
            }
            (Value::Array(saved), Value::Array(found)) if kind == "disks" || kind == "interfaces" => {
                self.elements(path, saved, found, depth);
            }
            _ => self.told.push(Difference { path: path.into(), saved: saved.clone(), found: found.clone() }),
        }
    }

    fn elements(&mut self, path: &str, saved: &[Value], found: &[Value], depth: usize) {
        let mut left: Vec<&Value> = found.iter().collect();
        for before in saved {
            let name = identity(before);
            let same = left.iter().position(|now| identity(now) == name);
            let now = same.map(|at| left.remove(at)).unwrap_or(&Value::Null);
            self.compare(&format!("{path}[{name}]"), &format!("{path}[]"), before, now, depth + 1);
        }
        for new in left {
            self.compare(&format!("{path}[{}]", identity(new)), &format!("{path}[]"), &Value::Null, new, depth + 1);
        }
    }
}

/// What names an element for good: a serial, a world wide name, a MAC; else its name.
fn identity(element: &Value) -> String {
    let text = |key: &str| element.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Several interfaces (VLANs, bonds) may share a MAC.
    let mac = text("mac_address").map(|mac| match text("name").and_then(|name| name.split_once('.')) {
        Some((_, vlan)) => format!("{mac}.{vlan}"),
        None => mac.to_owned(),
    });
    let of_disk = ["serial", "wwn", "by_path"].into_iter().find_map(text).map(str::to_owned);
    mac.or(of_disk).or_else(|| text("name").map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{differences, inventory_of};
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
    use serde_json::{Value, json};

    fn machine() -> Value {
        json!({"interfaces": [{"name": "eno1", "mac_address": "02:00:00:00:00:01", "ipv4_address": "192.0.2.1", "driver": "i40e"}],
            "disks": [{"name": "/dev/sda", "serial": "A", "size": 10}, {"name": "/dev/sdb", "serial": "B", "size": 20}],
            "memory": {"total": 5, "physical_mb": 6}, "hostname": "a"})
    }

    #[test]
    fn disks_are_the_same_under_other_names_and_passing_values_do_not_count() {
        let mut now = machine();
        now["disks"] =
            json!([{"name": "/dev/sda", "serial": "B", "size": 20}, {"name": "/dev/sdb", "serial": "A", "size": 10}]);
        now["interfaces"][0]["ipv4_address"] = json!(null);
        now["hostname"] = json!("b");
        now["memory"]["total"] = json!(4);
        assert_eq!(differences(&machine(), &now, false), []);
        let all: Vec<String> = differences(&machine(), &now, true).into_iter().map(|one| one.path).collect();
        assert_eq!(
            all,
            [
                "interfaces[02:00:00:00:00:01].ipv4_address",
                "disks[A].name",
                "disks[B].name",
                "memory.total",
                "hostname"
            ]
        );
    }

    #[test]
    fn what_came_went_or_changed_is_told() {
        let mut now = machine();
        now["disks"] = json!([{"name": "/dev/sda", "serial": "A", "size": 11}, {"name": "/dev/sdc", "serial": "C\x1b[2J", "size": 1}]);
        now["memory"]["physical_mb"] = json!(5);
        let told: Vec<String> = differences(&machine(), &now, false).iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "disks[A].size: was 10, is 11");
        assert_eq!(told[1], r#"disks[B]: was {"name":"/dev/sdb","serial":"B","size":20}, is nothing"#);
        assert!(told[2].starts_with("disks[C[2J]: was nothing, is {"), "{}", told[2]);
        assert_eq!(told[3], "memory.physical_mb: was 6, is 5");
        assert_eq!(told.len(), 4);
    }

    #[test]
    fn saved_documents_of_both_kinds_are_read() {
        assert_eq!(inventory_of(machine()), Ok(machine()));
        assert_eq!(inventory_of(json!({"inventory": machine(), "plugin_data": {}})), Ok(machine()));
        assert!(inventory_of(json!({"disks": []})).is_err() && inventory_of(json!([])).is_err());
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<u8>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("disks|interfaces|serial|name|x", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_equals_itself_and_nothing_panics(one in anything(), other in anything()) {
            assert_eq!(differences(&one, &one, true), []);
            let (there, back) = (differences(&one, &other, true), differences(&other, &one, true));
            assert_eq!(there.is_empty(), back.is_empty());
        }
    }
}
