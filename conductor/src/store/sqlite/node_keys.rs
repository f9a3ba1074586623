//! Sealed documents of nodes at the start: every key that is needed is there, and all are sealed with the first one.

use super::nodes::unsealed;
use crate::store::StoreError;
use crate::store::seal::{self, Keys, SealError};
use rusqlite::{Connection, params};

/// Nodes in one transaction.
const PIECE: usize = 500;

/// Seals what is open or sealed with an older key.
///
/// # Errors
/// [`StoreError::Keys`] when a key is missing or a record does not open; what was sealed until then stays so.
pub fn settle(connection: &Connection, keys: Option<&Keys>) -> Result<(), StoreError> {
    let used: Vec<String> = connection
        .prepare_cached("select distinct sealed from nodes where sealed is not null")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if let Some(missing) = used.into_iter().find(|name| !keys.is_some_and(|keys| keys.has(name))) {
        return Err(SealError::Missing(missing).into());
    }
    let Some(keys) = keys else { return Ok(()) };
    let ids: Vec<i64> = connection
        .prepare_cached("select id from nodes where sealed is not ?1")?
        .query_map([keys.first()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for piece in ids.chunks(PIECE) {
        let transaction = connection.unchecked_transaction()?;
        for id in piece {
            let (uuid, document) = unsealed(connection, *id)?;
            let Some((sealed, key)) = seal::sealed(&uuid, || Some(document)) else { continue };
            connection.prepare_cached("update nodes set doc = ?2, sealed = ?3 where id = ?1")?.execute(params![
                id,
                sealed.to_string(),
                key
            ])?;
        }
        transaction.commit()?;
    }
    if !ids.is_empty() {
        tracing::info!(nodes = ids.len(), key = keys.first(), "secrets in the database are sealed with the first key");
    }
    Ok(())
}
