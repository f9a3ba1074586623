//! Lists of nodes: filters, pages, fields (rest-api section 4).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::selection;
use super::node_fields::{SHORT, TABLE};
use super::rows::Rows;
use super::{ident, page, python};
use crate::model::chassis::Chassis;
use crate::model::fsm::State;
use crate::policy::{Target, Visible};
use crate::store::{NodeFilter, StoreError};

/// Filters and since when they are known.
const FILTERS: &[(&str, u16)] = &[
    ("instance_uuid", 1),
    ("chassis_uuid", 1),
    ("associated", 1),
    ("maintenance", 1),
    ("provision_state", 9),
    ("driver", 16),
    ("resource_class", 21),
    ("fault", 42),
    ("conductor_group", 46),
    ("conductor", 49),
    ("owner", 50),
    ("description_contains", 51),
    ("retired", 61),
    ("lessee", 65),
    ("project", 65),
    ("shard", 82),
    ("sharded", 82),
    ("parent_node", 83),
    ("include_children", 83),
    ("instance_name", 104),
];

/// Filters whose refusal does not name a version.
const HINTLESS: &[&str] = &["provision_state", "description_contains", "retired", "project", "sharded"];

/// Filters that the link to the next page repeats; clients repeat the others themselves.
const CARRIED: &[&str] = &["associated", "maintenance", "retired"];

/// Fields that a list can be sorted by and that not everybody who sees a node may read.
const REDACTED: &[&str] = &["last_error", "reservation"];

/// The words of the `fault` field.
const FAULTS: &[&str] = &["power failure", "clean failure", "rescue abort failure", "service failure"];

/// `GET /v1/nodes`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    answer(call, "nodes", false, None).await
}

/// `GET /v1/nodes/detail`.
pub async fn detail(call: &Call) -> Result<Answer, ApiError> {
    answer(call, "nodes/detail", true, None).await
}

/// A list of nodes, all or those in a chassis; `path` is where it is.
///
/// # Errors
/// What arguments and store say.
pub async fn answer(
    call: &Call,
    path: &str,
    always_detail: bool,
    chassis: Option<uuid::Uuid>,
) -> Result<Answer, ApiError> {
    let known: Vec<&str> = FILTERS.iter().map(|filter| filter.0).chain(page::ARGS.iter().copied()).collect();
    let args = Args::query(call, &known)?;
    for (name, since) in FILTERS {
        if args.has(name) && !call.version.has(*since) {
            if *name == "instance_name" {
                return Err(ApiError::too_new_argument(name));
            }
            return Err(if HINTLESS.contains(name) { ApiError::too_new() } else { ApiError::too_new_before(*since) });
        }
    }
    if args.has("detail") && !call.version.has(43) {
        return Err(ApiError::invalid("Invalid query parameter ?detail=True received."));
    }
    let detail = always_detail || args.boolean("detail")?.unwrap_or(false);
    let selection = selection(TABLE, args.words("fields")?.as_deref(), detail, SHORT, call.version)?;
    let paging = page::read(call, &args, TABLE)?;
    // The order would tell what the fields do not show.
    if REDACTED.contains(&paging.page.sort_key.as_str()) {
        call.permit(&format!("baremetal:node:get:{}", paging.page.sort_key), &Target::NONE)?;
    }
    let mut filter = filter(call, &args).await?;
    if let Some(chassis) = chassis {
        filter.chassis_uuid = Some(chassis.to_string());
    }
    let here = args.text("conductor")?.is_none_or(|host| host == call.conductor.host);
    let ids = if here {
        call.conductor.store.node_ids(&call.visible("node"), &filter, &paging.page).await?
    } else {
        Vec::new()
    };
    let mut carried = Vec::new();
    if detail && !always_detail {
        carried.push(("detail", "True".to_owned()));
    }
    for name in CARRIED {
        if args.boolean(name)? == Some(true) {
            carried.push((*name, "True".to_owned()));
        }
    }
    let mut rows = Rows::of(call, ("nodes", path), TABLE, ids, &paging, selection, &carried);
    // One node at most has it.
    rows.next.take_if(|_| filter.instance_uuid.is_some());
    rows.answer().await
}

async fn filter(call: &Call, args: &Args) -> Result<NodeFilter, ApiError> {
    let text = |name: &str| args.text(name).map(|text| text.map(str::to_owned));
    let uuid = |name: &str| match args.text(name)? {
        None => Ok(None),
        Some(text) => match ident::uuid(text) {
            Some(uuid) => Ok(Some(uuid.to_string())),
            None => Err(ApiError::invalid(format!("Expected UUID for {name}: {}", cut(text)))),
        },
    };
    let parent_node = match args.text("parent_node")? {
        None => None,
        // Nobody is the child of a node that does not exist: an empty list, no failure.
        Some(text) => match call.node_seen(&ident::of_path(text, "parent_node")?).await {
            Ok(parent) => Some(parent.uuid.to_string()),
            Err(StoreError::NotFound(_)) => Some(text.to_owned()),
            Err(error) => return Err(error.into()),
        },
    };
    let provision_states = match args.text("provision_state")? {
        None => Vec::new(),
        Some(word) => vec![
            State::from_name(word)
                .ok_or_else(|| ApiError::invalid(format!("Provision state \"{}\" is not valid", cut(word))))?,
        ],
    };
    let theirs = args.text("project")?.filter(|project| call.caller.project().is_some_and(|mine| mine != *project));
    if theirs.is_some() && call.visible("node") != Visible::Everything {
        return Err(ApiError::denied("baremetal:node:list_all"));
    }
    let chassis_uuid = uuid("chassis_uuid")?;
    // Which chassis exist is not told to those who may not see them: they get the nodes in it that are theirs.
    if let Some(chassis) = chassis_uuid.as_ref().filter(|_| call.may("baremetal:chassis:get", &Target::NONE)) {
        call.conductor.store.find::<Chassis>(chassis).await?;
    }
    if let Some(fault) = args.text("fault")?.filter(|fault| !FAULTS.contains(fault)) {
        let text = format!(
            "Unrecognized fault \"{}\" is specified, allowed faults are ({})",
            cut(fault),
            python::words(FAULTS)
        );
        return Err(ApiError::invalid(text));
    }
    Ok(NodeFilter {
        instance_uuid: uuid("instance_uuid")?,
        instance_name: text("instance_name")?,
        chassis_uuid,
        associated: args.boolean("associated")?,
        maintenance: args.boolean("maintenance")?,
        retired: args.boolean("retired")?,
        provision_states,
        driver: text("driver")?,
        resource_class: text("resource_class")?,
        fault: text("fault")?,
        conductor_group: text("conductor_group")?.map(|group| group.to_lowercase()),
        owner: text("owner")?,
        lessee: text("lessee")?,
        project: text("project")?,
        description_contains: text("description_contains")?,
        shards: args.list("shard")?,
        sharded: args.boolean("sharded")?,
        include_children: args.boolean("include_children")?.unwrap_or(false) || parent_node.is_some(),
        parent_node,
    })
}
