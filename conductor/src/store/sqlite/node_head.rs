//! Nodes with nothing but what a list shows: from their columns, and of the document only the members that are wanted.

use super::micros;
use super::nodes::{SEARCHED, held, open};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::power::PowerState;
use crate::store::StoreError;
use rusqlite::{Connection, Row};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Fields with a column beside [`SEARCHED`], and those made from columns alone.
const HEAD: &[&str] = &[
    "uuid",
    "name",
    "instance_uuid",
    "provision_state",
    "reservation",
    "conductor",
    "links",
    "ports",
    "portgroups",
    "states",
    "volume",
];

/// Columns before [`SEARCHED`]; the lease where [`held`] expects it.
const COLUMNS: &str =
    "id, uuid, lease_owner, lease_reason, lease_until, revision, name, instance_uuid, provision_state";

/// Where `sealed` stands, and behind it the document: after both kinds of columns.
const SEALED: usize = 9 + SEARCHED.len();

/// What is wanted of a node beside its columns.
pub struct Wanted(Vec<&'static str>);

impl Wanted {
    /// For these fields of the API; `None`: one of them needs the whole record.
    pub fn of(fields: &[String]) -> Option<Wanted> {
        let mut members = Vec::new();
        let has_column = |field: &&str| HEAD.contains(field) || SEARCHED.contains(field);
        for field in fields.iter().map(String::as_str).filter(|field| !has_column(field)) {
            let name = if field.ends_with("_interface") { "interfaces" } else { field };
            let member = *MEMBERS.iter().find(|member| **member == name)?;
            if !members.contains(&member) {
                members.push(member);
            }
        }
        Some(Wanted(members))
    }
}

/// These nodes, in this order.
pub fn by_id(connection: &Connection, ids: &[i64], wanted: &Wanted) -> Result<Vec<Node>, StoreError> {
    // One reading lock for all of them.
    let connection = &connection.unchecked_transaction()?;
    let more = if wanted.0.is_empty() { "" } else { ", sealed, doc" };
    let mut statement = connection
        .prepare_cached(&format!("select {COLUMNS}, {}{more} from nodes where id = ?1", SEARCHED.join(", ")))?;
    let now = micros(jiff::Timestamp::now());
    let mut nodes = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = statement.query([id])?.next()? {
            let mut node = from_row(row, now)?;
            if !wanted.0.is_empty() {
                fill(&mut node, row, &wanted.0)?;
            }
            nodes.push(node);
        }
    }
    Ok(nodes)
}

fn from_row(row: &Row<'_>, now: i64) -> Result<Node, StoreError> {
    let damaged = |what: &str| StoreError::Database(format!("a node record is damaged: its column {what}"));
    let text = |at: usize| -> Result<Option<String>, StoreError> { Ok(row.get(at)?) };
    let uuid = row.get_ref(1)?.as_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| damaged("uuid"))?;
    let state = row.get_ref(8)?.as_str().ok().and_then(State::from_name).ok_or_else(|| damaged("provision_state"))?;
    let power = row.get_ref(21)?.as_str_or_null().map_err(|_| damaged("power_state"))?.and_then(PowerState::from_name);
    Ok(Node {
        id: row.get(0)?,
        uuid,
        reservation: held(row, now)?,
        revision: row.get(5)?,
        name: text(6)?,
        instance_uuid: text(7)?,
        provision_state: state,
        // From here on in the order of `SEARCHED`.
        driver: text(9)?.unwrap_or_default(),
        resource_class: text(10)?,
        owner: text(11)?,
        lessee: text(12)?,
        shard: text(13)?,
        parent_node: text(14)?,
        conductor_group: text(15)?.unwrap_or_default(),
        chassis_uuid: text(16)?,
        instance_name: text(17)?,
        fault: text(18)?,
        maintenance: row.get(19)?,
        retired: row.get(20)?,
        power_state: power,
        ..Node::default()
    })
}

/// Reads the wanted members out of the document; the others are skipped without being looked at.
fn fill(node: &mut Node, row: &Row<'_>, wanted: &[&str]) -> Result<(), StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Database(format!("a node record is damaged: {error}"));
    let text = row.get_ref(SEALED + 1)?.as_str().map_err(|error| StoreError::Database(error.to_string()))?;
    let members = Members { node, wanted };
    match row.get::<_, Option<String>>(SEALED)? {
        None => serde_json::Deserializer::from_str(text).deserialize_map(members),
        Some(key) => open(text, &key)?.deserialize_map(members),
    }
    .map_err(damaged)
}

struct Members<'n> {
    node: &'n mut Node,
    wanted: &'n [&'n str],
}

/// A name of the document, when it is one of these.
struct Name<'w>(&'w [&'w str]);

impl<'de, 'w> DeserializeSeed<'de> for Name<'w> {
    type Value = Option<&'w str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Name<'w> {
    type Value = Option<&'w str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|wanted| *wanted == name))
    }
}

macro_rules! members {
    ($($member:ident)*) => {
        /// Members of the document that are fields of the API as they are.
        const MEMBERS: &[&str] = &[$(stringify!($member)),*];

        impl<'de> Visitor<'de> for Members<'_> {
            type Value = ();

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the document of a node")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                let mut missing = self.wanted.len();
                let mut wanted = self.wanted;
                while let Some(name) = map.next_key_seed(Name(wanted))? {
                    match name {
                        None => drop(map.next_value::<IgnoredAny>()?),
                        $(Some(stringify!($member)) => self.node.$member = map.next_value()?,)*
                        Some(other) => return Err(A::Error::custom(format!("`{other}` is no member of a node"))),
                    }
                    missing -= usize::from(name.is_some());
                    if missing == 0 {
                        wanted = &[];
                    }
                }
                Ok(())
            }
        }
    };
}

members! {
    allocation_uuid automated_clean boot_mode clean_step console_enabled created_at deploy_step description
    disable_power_off driver_info driver_internal_info extra health inspection_finished_at inspection_started_at
    instance_info interfaces last_error maintenance_reason network_data properties protected protected_reason
    provision_updated_at raid_config retired_reason secure_boot service_step target_power_state target_provision_state
    target_raid_config traits updated_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::InterfaceKind;
    use crate::store::Store;
    use crate::store::sqlite::SqliteStore;
    use serde_json::json;
    use uuid::Uuid;

    fn fields(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_wanted_is_as_in_the_whole_record_and_the_rest_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("db"), 10).unwrap();
        let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
        node.properties.insert("cpus".into(), json!({"a \"quoted\" key": [1, null]}));
        node.extra.insert("properties".into(), json!({"nested": "names do not count"}));
        node.interfaces.insert(InterfaceKind::Bios, "fake".into());
        (node.last_error, node.owner, node.traits) = (Some("no".into()), Some("o".into()), vec!["CUSTOM_A".into()]);
        node.description = Some("left out".into());
        let made = store.create_node(node).await.unwrap();
        let names =
            ["uuid", "properties", "last_error", "traits", "bios_interface", "raid_interface", "owner", "links"];
        let short = store.nodes_by_id(&[made.id, 99], Some(&fields(&names))).await.unwrap();
        let [short] = &short[..] else { panic!("one node") };
        assert_eq!((&short.properties, &short.last_error), (&made.properties, &made.last_error));
        assert_eq!((&short.traits, &short.interfaces, &short.owner), (&made.traits, &made.interfaces, &made.owner));
        assert_eq!((&short.description, short.extra.len()), (&None, 0));
        assert!(Wanted::of(&fields(&["uuid", "no such field"])).is_none(), "the whole record, then");
        let every: Vec<String> = HEAD.iter().chain(&SEARCHED).map(|name| (*name).to_owned()).collect();
        assert!(Wanted::of(&every).unwrap().0.is_empty());
    }

    #[tokio::test]
    async fn every_column_is_read_into_its_own_field() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("db"), 10).unwrap();
        let mut node = Node::new(Uuid::new_v4(), "driver");
        let text = |value: &str| Some(value.to_owned());
        (node.resource_class, node.owner, node.lessee) = (text("class"), text("owner"), text("lessee"));
        (node.shard, node.parent_node, node.chassis_uuid) = (text("shard"), text("parent"), text("chassis"));
        (node.instance_name, node.fault, node.instance_uuid) = (text("instance"), text("fault"), text("i"));
        (node.conductor_group, node.name) = ("group".into(), text("name"));
        (node.maintenance, node.power_state) = (true, Some(PowerState::On));
        let made = store.create_node(node).await.unwrap();
        let head = store.nodes_by_id(&[made.id], Some(&fields(&["uuid"]))).await.unwrap().remove(0);
        let whole = store.nodes_by_id(&[made.id], None).await.unwrap().remove(0);
        assert_eq!(Node { created_at: whole.created_at, ..head }, whole);
    }
}
