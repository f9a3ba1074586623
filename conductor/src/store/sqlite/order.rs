//! The order of lists in SQL: by a key, then by id, and what of it comes behind a marker. Null keys sort first, as SQLite has it.

use crate::store::Page;

/// The order of a list of `table`, whose rows have a unique `id`.
pub struct Order {
    table: &'static str,
    /// An SQL expression that somebody has checked.
    key: String,
    descending: bool,
}

impl Order {
    /// As the page asks, with its key as an expression of SQL.
    pub fn new(table: &'static str, key: String, page: &Page) -> Self {
        Order { table, key, descending: page.descending }
    }

    /// What stands behind `order by`.
    pub fn by(&self) -> String {
        let (key, direction) = (&self.key, if self.descending { "desc" } else { "asc" });
        if key == "id" { format!("id {direction}") } else { format!("{key} {direction}, id {direction}") }
    }

    /// The condition of everything behind the row whose id is bound to `mark`.
    pub fn behind(&self, mark: &str) -> String {
        let (key, more) = (&self.key, if self.descending { "<" } else { ">" });
        if key == "id" {
            return format!("id {more} {mark}");
        }
        let seen = format!("(select {key} from {} where id = {mark})", self.table);
        let (null, value) = if self.descending { (key, &seen) } else { (&seen, key) };
        format!(
            "({key} {more} {seen} or ({null} is null and {value} is not null) or ({key} is {seen} and id {more} {mark}))"
        )
    }
}
