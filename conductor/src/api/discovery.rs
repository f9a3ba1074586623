//! The documents that say what is served (rest-api section 1.3). No credentials.

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::version::{NEWEST, OLDEST};
use serde_json::{Value, json};

/// What the document of v1 points to, and since when.
const RESOURCES: &[(&str, u16)] = &[
    ("chassis", 1),
    ("nodes", 1),
    ("ports", 1),
    ("drivers", 1),
    ("lookup", 22),
    ("heartbeat", 22),
    ("portgroups", 23),
    ("volume", 32),
    ("conductors", 49),
    ("allocations", 52),
    ("events", 54),
    ("deploy_templates", 55),
    ("shards", 82),
    ("continue_inspection", 84),
    ("runbooks", 92),
    ("inspection_rules", 96),
];

fn version(base: &str) -> Value {
    json!({
        "id": "v1",
        "links": [{"href": format!("{base}/v1/"), "rel": "self"}],
        "status": "CURRENT",
        "min_version": format!("1.{OLDEST}"),
        "version": format!("1.{NEWEST}"),
    })
}

/// `GET /`.
pub async fn root(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(Answer::ok(json!({
        "name": "OpenStack Ironic API",
        "description": "Wrought provisions bare-metal machines and speaks the OpenStack Ironic API.",
        "default_version": version(&call.base),
        "versions": [version(&call.base)],
    })))
}

/// `GET /v1`.
pub async fn v1(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let base = &call.base;
    let mut document = json!({
        "id": "v1",
        "links": [
            {"href": format!("{base}/v1/"), "rel": "self"},
            {"href": "https://docs.openstack.org/api-ref/baremetal/", "rel": "describedby", "type": "text/html"},
        ],
        "media_types": {"base": "application/json", "type": "application/vnd.openstack.ironic.v1+json"},
        "version": version(base),
    });
    for (name, _) in RESOURCES.iter().filter(|(_, since)| call.version.has(*since)) {
        document[*name] = json!([
            {"href": format!("{base}/v1/{name}/"), "rel": "self"},
            {"href": format!("{base}/{name}/"), "rel": "bookmark"},
        ]);
    }
    Ok(Answer::ok(document))
}
