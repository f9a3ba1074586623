//! SQL of lists of records: filters, order, pages.

use super::nodes::visible_to;
use super::order::Order;
use super::records::{COLUMNS, by_ident, from_row};
use crate::model::record::Kind;
use crate::policy::Visible;
use crate::store::records::{Record, RecordFilter};
use crate::store::{Page, StoreError};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use serde_json::Value;

/// The SQL expression of a field. Names come from our own tables; anything odd is refused all the same.
fn expression(field: &str) -> Result<String, StoreError> {
    match field {
        "id" | "uuid" | "name" | "node_uuid" | "created_at" | "updated_at" => Ok(field.to_owned()),
        plain if plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
            Ok(format!("json_extract(doc, '$.{plain}')"))
        }
        odd => Err(StoreError::Database(format!("`{odd}` is no field of a record"))),
    }
}

/// A `where` clause under construction.
struct Query {
    conditions: Vec<String>,
    values: Vec<Sql>,
}

impl Query {
    fn bind(&mut self, value: impl Into<Sql>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn equal(&mut self, field: &str, value: &Value) -> Result<String, StoreError> {
        let field = expression(field)?;
        let value = match value {
            Value::Null => return Ok(format!("{field} is null")),
            Value::Bool(flag) => Sql::Integer(i64::from(*flag)),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Sql::Integer(whole),
                None => Sql::Real(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Sql::Text(text.clone()),
            other => return Err(StoreError::Database(format!("a record cannot be found by {other}"))),
        };
        Ok(format!("{field} = {}", self.bind(value)))
    }

    fn any_of(&mut self, expression: &str, values: &[String]) -> Option<String> {
        let marks: Vec<String> = values.iter().map(|value| self.bind(value.clone())).collect();
        (!marks.is_empty()).then(|| format!("{expression} in ({})", marks.join(", ")))
    }

    fn filter(&mut self, filter: &RecordFilter) -> Result<(), StoreError> {
        let nodes: Vec<String> = filter.nodes.iter().map(ToString::to_string).collect();
        let of_nodes = self.any_of("node_uuid", &nodes);
        self.conditions.extend(of_nodes);
        for (field, value) in &filter.equal {
            let condition = self.equal(field, value)?;
            self.conditions.push(condition);
        }
        if !filter.either.is_empty() {
            let any: Vec<String> =
                filter.either.iter().map(|(field, value)| self.equal(field, value)).collect::<Result<_, _>>()?;
            self.conditions.push(format!("({})", any.join(" or ")));
        }
        for (field, part) in &filter.contains {
            let condition = format!("instr({}, {}) > 0", expression(field)?, self.bind(part.clone()));
            self.conditions.push(condition);
        }
        for (field, wanted) in [("shard", &filter.shards), ("conductor_group", &filter.conductor_groups)] {
            if let Some(inside) = self.any_of(&format!("nodes.{field}"), wanted) {
                self.conditions.push(format!("node_uuid in (select nodes.uuid from nodes where {inside})"));
            }
        }
        if let Some(project) = &filter.node_project {
            self.of_project(project);
        }
        Ok(())
    }

    fn of_project(&mut self, project: &str) {
        let mark = self.bind(project.to_owned());
        self.conditions.push(format!("node_uuid in (select nodes.uuid from nodes where {})", visible_to(&mark)));
    }

    fn visible(&mut self, kind: Kind, visible: &Visible) {
        let Some(project) = visible.project() else { return };
        match kind {
            Kind::PortGroup
            | Kind::VolumeConnector
            | Kind::VolumeTarget
            | Kind::BiosSetting
            | Kind::FirmwareComponent => self.of_project(project),
            Kind::Allocation | Kind::Runbook => {
                let mark = self.bind(project.to_owned());
                let public = if kind == Kind::Runbook { " or json_extract(doc, '$.public')" } else { "" };
                self.conditions.push(format!("(json_extract(doc, '$.owner') = {mark}{public})"));
            }
            // No project owns these.
            Kind::Chassis | Kind::DeployTemplate | Kind::InspectionRule => self.conditions.push("false".into()),
        }
    }
}

pub fn list(
    connection: &Connection,
    kind: Kind,
    visible: &Visible,
    filter: &RecordFilter,
    page: &Page,
) -> Result<Vec<Record>, StoreError> {
    select(connection, kind, COLUMNS, visible, filter, page, |row| from_row(kind, row))
}

pub fn ids(
    connection: &Connection,
    kind: Kind,
    visible: &Visible,
    filter: &RecordFilter,
    page: &Page,
) -> Result<Vec<i64>, StoreError> {
    select(connection, kind, "id", visible, filter, page, |row| Ok(row.get(0)?))
}

fn select<T>(
    connection: &Connection,
    kind: Kind,
    columns: &str,
    visible: &Visible,
    filter: &RecordFilter,
    page: &Page,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut query = Query { conditions: vec!["kind = ?1".into()], values: vec![Sql::Text(kind.name().into())] };
    query.visible(kind, visible);
    let seen_by_caller = (query.conditions.clone(), query.values.clone());
    query.filter(filter)?;
    let order = Order::new("records", expression(&page.sort_key)?, page);
    if let Some(marker) = page.marker {
        let seen = by_ident(connection, kind, &marker.to_string())?;
        // A marker that may not be seen is one that does not exist.
        let (conditions, values) = seen_by_caller;
        let sql = format!(
            "select exists (select 1 from records where {} and id = {})",
            conditions.join(" and "),
            seen.meta.id
        );
        if !connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get::<_, bool>(0))? {
            return Err(StoreError::NotFound(kind.named(&marker.to_string())));
        }
        let mark = query.bind(seen.meta.id);
        query.conditions.push(order.behind(&mark));
    }
    let limit = query.bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
    let (conditions, order) = (query.conditions.join(" and "), order.by());
    let sql = format!("select {columns} from records where {conditions} order by {order} limit {limit}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(query.values))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read(row)?);
    }
    Ok(records)
}
