//! SQL of lists of nodes: filters, what is visible, sort keys, pages.

use super::nodes::{COLUMNS, SEARCHED, by_ident, from_row, visible_to};
use super::order::Order;
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::policy::Visible;
use crate::store::{NodeFilter, Page, StateCount, StoreError};
use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};

pub fn list(
    connection: &Connection,
    visible: &Visible,
    filter: &NodeFilter,
    page: &Page,
) -> Result<Vec<Node>, StoreError> {
    select(connection, COLUMNS, visible, filter, page, from_row)
}

pub fn ids(
    connection: &Connection,
    visible: &Visible,
    filter: &NodeFilter,
    page: &Page,
) -> Result<Vec<i64>, StoreError> {
    select(connection, "id", visible, filter, page, |row| Ok(row.get(0)?))
}

fn select<T>(
    connection: &Connection,
    columns: &str,
    visible: &Visible,
    filter: &NodeFilter,
    page: &Page,
    read: fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut query = Query::default();
    query.project(visible.project());
    query.filter(filter);
    let order = Order::new("nodes", order_key(&page.sort_key)?, page);
    if let Some(marker) = page.marker {
        let seen = by_ident(connection, &marker.to_string())?;
        // A marker that may not be seen is one that does not exist.
        if let Some(project) = visible.project()
            && ![&seen.owner, &seen.lessee].iter().any(|theirs| theirs.as_deref() == Some(project))
        {
            return Err(StoreError::NotFound(format!("Node {marker}")));
        }
        query.values.push(Sql::Integer(seen.id));
        query.conditions.push(order.behind(&format!("?{}", query.values.len())));
    }
    query.values.push(Sql::Integer(i64::try_from(page.limit).unwrap_or(i64::MAX)));
    let (clause, order, limit) = (query.clause(), order.by(), query.values.len());
    let sql = format!("select {columns} from nodes {clause} order by {order} limit ?{limit}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(query.values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The SQL expression of a sort key. The caller has checked the name against the record; this refuses anything odd again.
fn order_key(name: &str) -> Result<String, StoreError> {
    match name {
        "id" | "uuid" | "name" | "instance_uuid" | "provision_state" => Ok(name.to_owned()),
        "reservation" => Ok("lease_owner".into()),
        "provision_updated_at" => Ok("provision_since".into()),
        column if SEARCHED.contains(&column) => Ok(column.to_owned()),
        plain if plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
            let path = plain.strip_suffix("_interface").map_or(plain.to_owned(), |kind| format!("interfaces.{kind}"));
            Ok(format!("json_extract(doc, '$.{path}')"))
        }
        odd => Err(StoreError::Database(format!("`{odd}` is no sort key"))),
    }
}

/// A `where` clause under construction.
#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    values: Vec<Sql>,
}

impl Query {
    fn equal(&mut self, expression: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.values.push(Sql::Text(value.clone()));
            self.conditions.push(format!("{expression} = ?{}", self.values.len()));
        }
    }

    fn flag(&mut self, expression: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.conditions.push(format!("{}({expression})", if value { "" } else { "not " }));
        }
    }

    fn any_of(&mut self, expression: &str, values: impl Iterator<Item = String>) {
        let first = self.values.len();
        self.values.extend(values.map(Sql::Text));
        if self.values.len() > first {
            let marks: Vec<_> = (first + 1..=self.values.len()).map(|number| format!("?{number}")).collect();
            self.conditions.push(format!("{expression} in ({})", marks.join(", ")));
        }
    }

    fn project(&mut self, project: Option<&str>) {
        if let Some(project) = project {
            self.values.push(Sql::Text(project.to_owned()));
            self.conditions.push(visible_to(&format!("?{}", self.values.len())));
        }
    }

    fn filter(&mut self, filter: &NodeFilter) {
        self.equal("instance_uuid", filter.instance_uuid.as_ref());
        for (field, value) in [
            ("instance_name", &filter.instance_name),
            ("chassis_uuid", &filter.chassis_uuid),
            ("driver", &filter.driver),
            ("resource_class", &filter.resource_class),
            ("fault", &filter.fault),
            ("conductor_group", &filter.conductor_group),
            ("owner", &filter.owner),
            ("lessee", &filter.lessee),
            ("parent_node", &filter.parent_node),
        ] {
            self.equal(field, value.as_ref());
        }
        self.flag("instance_uuid is not null", filter.associated);
        self.flag("maintenance", filter.maintenance);
        self.flag("retired", filter.retired);
        self.flag("shard is not null", filter.sharded);
        self.any_of("provision_state", filter.provision_states.iter().map(|state| state.name().to_owned()));
        self.any_of("shard", filter.shards.iter().cloned());
        self.project(filter.project.as_deref());
        if let Some(part) = &filter.description_contains {
            self.values.push(Sql::Text(part.clone()));
            self.conditions.push(format!("instr(json_extract(doc, '$.description'), ?{}) > 0", self.values.len()));
        }
        if filter.parent_node.is_none() && !filter.include_children {
            self.conditions.push("parent_node is null".into());
        }
    }

    fn clause(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("where {}", self.conditions.join(" and ")) }
    }
}

pub fn count(connection: &Connection, filter: &NodeFilter, most: usize) -> Result<usize, StoreError> {
    let mut query = Query::default();
    query.filter(filter);
    query.values.push(Sql::Integer(i64::try_from(most).unwrap_or(i64::MAX)));
    let sql = format!("select count(*) from (select 1 from nodes {} limit ?{})", query.clause(), query.values.len());
    let count: i64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(query.values), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub fn state_counts(connection: &Connection) -> Result<Vec<StateCount>, StoreError> {
    let sql = "select provision_state, count(*), min(provision_since) from nodes group by provision_state";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let state = State::from_name(&name)
            .ok_or_else(|| StoreError::Database(format!("a node record is damaged: `{name}` is no state")))?;
        let oldest = row.get::<_, Option<i64>>(2)?.and_then(|at| Timestamp::from_microsecond(at).ok());
        counts.push(StateCount { state, nodes: row.get::<_, i64>(1)?.unsigned_abs(), oldest });
    }
    Ok(counts)
}

pub fn shard_counts(connection: &Connection, visible: &Visible) -> Result<Vec<(Option<String>, u64)>, StoreError> {
    let mut query = Query::default();
    query.project(visible.project());
    let sql = format!("select shard, count(*) from nodes {} group by shard order by shard", query.clause());
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params_from_iter(query.values), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
