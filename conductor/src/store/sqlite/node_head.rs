//! Nodes with nothing but what a list shows: from their columns, and of the document only the members that are wanted.

use super::micros;
use super::nodes::{LEASE, held, open};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::power::PowerState;
use crate::store::StoreError;
use rusqlite::{Connection, Row};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Fields made from what is always read, and from nothing.
const ALWAYS: &[&str] = &["uuid", "owner", "lessee", "conductor", "links", "ports", "portgroups", "states", "volume"];

/// What is always read: the policy asks whose the node is.
const FIRST: &str = "select id, uuid, revision, owner, lessee";

/// Number of the columns of [`FIRST`].
const FIRST_COUNT: usize = 5;

/// Puts a column of a row into the node; the last argument is now, in microseconds.
type Fill = fn(&mut Node, &Row<'_>, usize, i64) -> Result<(), StoreError>;

/// A field that has columns.
struct Column {
    field: &'static str,
    /// Their names.
    sql: &'static str,
    /// How many they are.
    width: usize,
    fill: Fill,
}

impl Column {
    const fn of(field: &'static str, fill: Fill) -> Self {
        Column { field, sql: field, width: 1, fill }
    }
}

/// Columns that are fields as they are.
macro_rules! plain {
    ($($field:ident)*) => {
        [$(Column::of(stringify!($field), |node, row, at, _| {
            node.$field = row.get(at)?;
            Ok(())
        })),*]
    };
}

const PLAIN: [Column; 10] = plain! {
    name instance_uuid resource_class shard parent_node chassis_uuid instance_name fault retired maintenance
};

const OTHERS: [Column; 5] = [
    Column::of("driver", |node, row, at, _| {
        node.driver = row.get::<_, Option<String>>(at)?.unwrap_or_default();
        Ok(())
    }),
    Column::of("conductor_group", |node, row, at, _| {
        node.conductor_group = row.get::<_, Option<String>>(at)?.unwrap_or_default();
        Ok(())
    }),
    Column::of("provision_state", |node, row, at, _| {
        let state = row.get_ref(at)?.as_str().ok().and_then(State::from_name);
        node.provision_state = state.ok_or_else(|| damaged("provision_state"))?;
        Ok(())
    }),
    Column::of("power_state", |node, row, at, _| {
        let name = row.get_ref(at)?.as_str_or_null().map_err(|_| damaged("power_state"))?;
        node.power_state = name.and_then(PowerState::from_name);
        Ok(())
    }),
    Column {
        sql: LEASE,
        width: 3,
        ..Column::of("reservation", |node, row, at, now| {
            node.reservation = held(row, at, now)?;
            Ok(())
        })
    },
];

/// The columns of a field, if it has some.
fn column(field: &str) -> Option<&'static Column> {
    PLAIN.iter().chain(&OTHERS).find(|column| column.field == field)
}

fn damaged(what: &str) -> StoreError {
    StoreError::Database(format!("a node record is damaged: its column {what}"))
}

/// What is wanted of a node.
pub struct Wanted {
    columns: Vec<&'static Column>,
    members: Vec<&'static str>,
}

impl Wanted {
    /// For these fields of the API; `None`: one of them needs the whole record.
    pub fn of(fields: &[String]) -> Option<Wanted> {
        let mut wanted = Wanted { columns: Vec::new(), members: Vec::new() };
        for field in fields.iter().map(String::as_str).filter(|field| !ALWAYS.contains(field)) {
            if let Some(column) = column(field) {
                if !wanted.columns.iter().any(|known| known.field == field) {
                    wanted.columns.push(column);
                }
                continue;
            }
            let name = if field.ends_with("_interface") { "interfaces" } else { field };
            let member = *MEMBERS.iter().find(|member| **member == name)?;
            if !wanted.members.contains(&member) {
                wanted.members.push(member);
            }
        }
        Some(wanted)
    }

    /// The query for one node by its key.
    fn sql(&self) -> String {
        let columns = self.columns.iter().map(|column| column.sql);
        let document: &[&str] = if self.members.is_empty() { &[] } else { &["sealed, doc"] };
        let list: Vec<&str> = [FIRST].into_iter().chain(columns).chain(document.iter().copied()).collect();
        format!("{} from nodes where id = ?1", list.join(", "))
    }
}

/// These nodes, in this order.
pub fn by_id(connection: &Connection, ids: &[i64], wanted: &Wanted) -> Result<Vec<Node>, StoreError> {
    // One reading lock for all of them.
    let connection = &connection.unchecked_transaction()?;
    let mut statement = connection.prepare_cached(&wanted.sql())?;
    let now = micros(jiff::Timestamp::now());
    let mut nodes = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = statement.query([id])?.next()? {
            // Filled where it stands: a node is two KiB, and these are many.
            nodes.push(Node::default());
            if let Some(node) = nodes.last_mut() {
                fill(node, row, wanted, now)?;
            }
        }
    }
    Ok(nodes)
}

fn fill(node: &mut Node, row: &Row<'_>, wanted: &Wanted, now: i64) -> Result<(), StoreError> {
    node.id = row.get(0)?;
    let uuid = row.get_ref(1)?.as_str().ok().and_then(|text| text.parse().ok());
    node.uuid = uuid.ok_or_else(|| damaged("uuid"))?;
    (node.revision, node.owner, node.lessee) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let mut at = FIRST_COUNT;
    for column in &wanted.columns {
        (column.fill)(node, row, at, now)?;
        at += column.width;
    }
    if wanted.members.is_empty() { Ok(()) } else { members_of(node, row, at, &wanted.members) }
}

/// Reads the wanted members out of the document, whose seal is column `at`; what stands before them is skipped without being
/// looked at, and what stands behind the last one is not read.
fn members_of(node: &mut Node, row: &Row<'_>, at: usize, wanted: &[&str]) -> Result<(), StoreError> {
    let text = row.get_ref(at + 1)?.as_str().map_err(|error| StoreError::Database(error.to_string()))?;
    let mut members = Members { node, wanted, missing: wanted.len() };
    let read = match row.get::<_, Option<String>>(at)? {
        None => serde_json::Deserializer::from_str(text).deserialize_map(&mut members),
        Some(key) => open(text, &key)?.deserialize_map(&mut members),
    };
    match read {
        // A visitor leaves a map in its middle by an error only.
        Err(_) if members.missing == 0 => Ok(()),
        read => read.map_err(|error| StoreError::Database(format!("a node record is damaged: {error}"))),
    }
}

struct Members<'n> {
    node: &'n mut Node,
    wanted: &'n [&'n str],
    /// How many were not met yet.
    missing: usize,
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

        impl<'de> Visitor<'de> for &mut Members<'_> {
            type Value = ();

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the document of a node")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(name) = map.next_key_seed(Name(self.wanted))? {
                    match name {
                        None => drop(map.next_value::<IgnoredAny>()?),
                        $(Some(stringify!($member)) => self.node.$member = map.next_value()?,)*
                        Some(other) => return Err(A::Error::custom(format!("`{other}` is no member of a node"))),
                    }
                    self.missing -= usize::from(name.is_some());
                    if self.missing == 0 {
                        return Err(A::Error::custom("enough"));
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
    use std::time::Duration;
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
        let columns = PLAIN.iter().chain(&OTHERS).map(|column| &column.field);
        let every: Vec<String> = ALWAYS.iter().chain(columns).map(|name| (*name).to_owned()).collect();
        assert!(Wanted::of(&every).unwrap().members.is_empty());
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
        store.lease(made.uuid, "somebody", "to hold it", Duration::from_secs(60)).await.unwrap();
        let columns: Vec<String> = PLAIN.iter().chain(&OTHERS).map(|column| column.field.to_owned()).collect();
        let head = store.nodes_by_id(&[made.id], Some(&columns)).await.unwrap().remove(0);
        let whole = store.nodes_by_id(&[made.id], None).await.unwrap().remove(0);
        assert!(whole.reservation.is_some());
        assert_eq!(Node { created_at: whole.created_at, ..head }, whole);
        // One at a time: none depends on which others are read.
        for column in columns {
            let one = store.nodes_by_id(&[made.id], Some(&fields(&[&column]))).await.unwrap().remove(0);
            let shown = |node: &Node| (json!(node)[&column].clone(), node.reservation.clone());
            let expected = (shown(&whole).0, whole.reservation.clone().filter(|_| column == "reservation"));
            assert_eq!(shown(&one), expected, "{column}");
            assert_eq!((one.uuid, one.revision), (whole.uuid, whole.revision));
            assert_eq!((&one.owner, &one.lessee), (&whole.owner, &whole.lessee));
        }
    }
}
