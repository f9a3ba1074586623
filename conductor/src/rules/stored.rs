//! A rule as a record of the store.

use super::rule::Rule;
use crate::model::record::{Kind, Meta, Recorded};
use serde::{Deserialize, Serialize};

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRule {
    /// What the store knows.
    #[serde(skip)]
    pub meta: Meta,
    /// What it says; its own `uuid` is the record's.
    #[serde(flatten)]
    pub rule: Rule,
}

impl Recorded for StoredRule {
    const KIND: Kind = Kind::InspectionRule;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }
}
