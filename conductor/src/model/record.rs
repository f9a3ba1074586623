//! What every resource besides nodes and ports has in common: identity, times, revision, unique values, and a document.
//!
//! A resource is a plain struct with [`Recorded`] implemented; `store::records` keeps it. What a request must not guess
//! (creation order, revision, times) is in its [`Meta`] and is set by the store alone.

use super::named::named;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

named! {
    /// The kinds of record. The word is how the database calls it; never change one.
    Kind {
        /// A group of machines, for people.
        Chassis = "chassis",
        /// Bonded NICs of a node.
        PortGroup = "portgroup",
        /// How a node reaches remote volumes.
        VolumeConnector = "volume_connector",
        /// A remote volume of a node.
        VolumeTarget = "volume_target",
        /// A reservation of a node by its class and traits.
        Allocation = "allocation",
        /// Deploy steps that a trait asks for.
        DeployTemplate = "deploy_template",
        /// Steps with a name.
        Runbook = "runbook",
        /// What inspection does with what it found.
        InspectionRule = "inspection_rule",
        /// A firmware setting of a node.
        BiosSetting = "bios_setting",
        /// A firmware version of a node.
        FirmwareComponent = "firmware_component",
    }
}

impl Kind {
    /// How error texts call it, with its article.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Chassis => "A chassis",
            Kind::PortGroup => "A portgroup",
            Kind::VolumeConnector => "A volume connector",
            Kind::VolumeTarget => "A volume target",
            Kind::Allocation => "An allocation",
            Kind::DeployTemplate => "A deploy template",
            Kind::Runbook => "A runbook",
            Kind::InspectionRule => "A rule",
            Kind::BiosSetting => "A BIOS setting",
            Kind::FirmwareComponent => "A firmware component",
        }
    }

    /// "Chassis x": the beginning of `... could not be found.`
    pub fn named(self, ident: &str) -> String {
        let noun = self.noun();
        let bare = noun.split_once(' ').map_or(noun, |(_, bare)| bare);
        let (first, rest) = bare.split_at(1);
        format!("{}{rest} {ident}", first.to_ascii_uppercase())
    }
}

/// What the store knows about a record besides its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Creation order; 0 until it is stored.
    pub id: i64,
    /// Its identity.
    pub uuid: Uuid,
    /// Grows with every write; 1 when it is made.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Option<Timestamp>,
}

impl Default for Meta {
    fn default() -> Self {
        Meta { id: 0, uuid: Uuid::new_v4(), revision: 0, created_at: Timestamp::UNIX_EPOCH, updated_at: None }
    }
}

/// A value that only one record of its kind may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    /// Which value it is, e.g. `address`.
    pub key: &'static str,
    /// The value, several parts joined by something that no part contains.
    pub value: String,
    /// What the API answers when another record has it.
    pub taken: String,
}

/// A typed resource that is kept as a record. Its document is its own JSON, so `Meta` is `#[serde(skip)]` in it.
pub trait Recorded: Serialize + DeserializeOwned + Send + Sync {
    /// Its kind.
    const KIND: Kind;

    /// What the store knows.
    fn meta(&self) -> &Meta;

    /// For the store.
    fn meta_mut(&mut self) -> &mut Meta;

    /// Unique among its kind.
    fn name(&self) -> Option<&str> {
        None
    }

    /// The node it belongs to: it goes with the node.
    fn node(&self) -> Option<Uuid> {
        None
    }

    /// Further unique values.
    fn unique(&self) -> Vec<UniqueKey> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn kinds_are_called_as_error_texts_call_them() {
        assert_eq!(Kind::Chassis.named("x"), "Chassis x");
        assert_eq!(Kind::PortGroup.named("x"), "Portgroup x");
        assert_eq!(Kind::Allocation.named("x"), "Allocation x");
        assert_eq!(Kind::InspectionRule.named("x"), "Rule x");
    }
}
