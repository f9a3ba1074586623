//! SQL of expectations: the comparison and the write are one transaction.

use crate::store::StoreError;
use crate::store::expect::{Expectation, Reading, Subject};
use rusqlite::{Connection, OptionalExtension, params};

/// Runs a job if the subject is as expected; refuses it otherwise.
pub fn hold<T>(
    connection: &Connection,
    expected: &Expectation,
    job: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if expected.is_met() {
        return job(connection);
    }
    let before = state(connection, expected)?;
    if !before.is_some_and(|(reading, _)| expected.readings.contains(&reading)) {
        return Err(StoreError::Stale(match expected.subject {
            Subject::Node => format!("Node {}", expected.uuid),
            Subject::Port => format!("Port {}", expected.uuid),
            Subject::Record(kind) => kind.named(&expected.uuid.to_string()),
        }));
    }
    let done = job(connection)?;
    if state(connection, expected)? != before {
        expected.meet();
    }
    Ok(done)
}

/// Where the record stands: its reading, and for nodes who has it.
fn state(connection: &Connection, expected: &Expectation) -> Result<Option<(Reading, i64)>, StoreError> {
    let uuid = expected.uuid.to_string();
    let read = |row: &rusqlite::Row<'_>| Ok((Reading { id: row.get(0)?, revision: row.get(1)? }, row.get(2)?));
    let found = match expected.subject {
        Subject::Node => connection
            .prepare_cached("select id, revision, fence from nodes where uuid = ?1")?
            .query_row([uuid], read)
            .optional()?,
        Subject::Port => connection
            .prepare_cached("select id, revision, 0 from ports where uuid = ?1")?
            .query_row([uuid], read)
            .optional()?,
        Subject::Record(kind) => connection
            .prepare_cached("select id, revision, 0 from records where kind = ?1 and uuid = ?2")?
            .query_row(params![kind.name(), uuid], read)
            .optional()?,
    };
    Ok(found)
}
