//! The REST API as clients see it: a real conductor with fake hardware on loopback, asked over HTTP.

#[path = "api/allocations.rs"]
mod allocations;
#[path = "api/bifrost.rs"]
mod bifrost;
#[path = "api/conditions.rs"]
mod conditions;
#[path = "api/discovery.rs"]
mod discovery;
#[path = "api/door.rs"]
mod door;
#[path = "api/drivers.rs"]
mod drivers;
#[path = "api/events.rs"]
mod events;
#[path = "api/fake_hardware.rs"]
mod fake_hardware;
#[path = "api/fast_track.rs"]
mod fast_track;
#[path = "api/flows.rs"]
mod flows;
#[path = "api/groups.rs"]
mod groups;
#[path = "api/lists.rs"]
mod lists;
#[path = "api/lookup.rs"]
mod lookup;
#[path = "api/machine_parts.rs"]
mod machine_parts;
#[path = "api/metal3.rs"]
mod metal3;
#[path = "api/metal3_more.rs"]
mod metal3_more;
#[path = "api/nodes.rs"]
mod nodes;
#[path = "api/policy/mod.rs"]
mod policy;
#[path = "api/ports.rs"]
mod ports;
#[path = "api/rules.rs"]
mod rules;
#[path = "api/runbooks.rs"]
mod runbooks;
#[path = "api/site.rs"]
mod site;
#[path = "api/states.rs"]
mod states;
#[path = "api/templates.rs"]
mod templates;
#[path = "api/vendor.rs"]
mod vendor;
#[path = "api/verbs.rs"]
mod verbs;
#[path = "api/versions.rs"]
mod versions;
#[path = "api/volume.rs"]
mod volume;
#[path = "api/wire/mod.rs"]
mod wire;
