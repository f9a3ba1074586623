//! A deploy template: steps that a deployment runs when its instance asks for the trait of that name (rest-api section 12).

use super::record::{Kind, Meta, Recorded};
use super::step_list::StepList;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeployTemplate {
    /// What the store knows.
    #[serde(skip)]
    pub meta: Meta,
    /// A trait; unique.
    pub name: String,
    /// Its steps.
    pub steps: StepList,
    /// Anything.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

impl Recorded for DeployTemplate {
    const KIND: Kind = Kind::DeployTemplate;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}
