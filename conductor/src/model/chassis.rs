//! A chassis: a group of machines, for people (rest-api section 10).

use super::record::{Kind, Meta, Recorded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chassis {
    /// Identity and times.
    #[serde(skip)]
    pub meta: Meta,
    /// Free text.
    pub description: Option<String>,
    /// Anything.
    pub extra: Map<String, Value>,
}

impl Recorded for Chassis {
    const KIND: Kind = Kind::Chassis;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }
}
