//! What all resources that are kept as records have in common: show, list, make, patch, by their table of fields.

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Field, Selection, View, schema, selection, shown};
use super::patch::{self, Change};
use super::rows::Rows;
use super::seen::target;
use super::{ident, page};
use crate::model::record::Recorded;
use crate::policy::Target;
use crate::store::StoreError;
use crate::store::expect::present;
use crate::store::records::RecordFilter;
use http::StatusCode;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A kind of record as the API has it.
pub trait Resource: Recorded + Clone + 'static {
    /// Its fields, in the order of the answer.
    fn table() -> &'static [Field<Self>];
    /// What a list shows when it is not asked for more.
    const SHORT: &'static [&'static str];
    /// The member of a list's answer.
    const LIST: &'static str;
    /// Where it is below `/v1`.
    const PATH: &'static str;
    /// How schema errors call it.
    const NOUN: &'static str;
    /// Its lists show everything without being asked.
    const LISTS_ALL: bool = false;
    /// First version whose lists know `detail`.
    const DETAIL_SINCE: u16 = 43;
    /// How a path is refused that holds neither UUID nor name.
    const BAD_IDENT: BadIdent = BadIdent::Routing;
    /// What can be patched, as a refusal lists it; empty: in the order of the table.
    const PATCHED: &'static [&'static str] = &[];
    /// Queries of its lists are refused in the words of a schema.
    const QUERY_SCHEMA: bool = true;
    /// What is said when a list is asked for some fields and for all.
    const FIELDS_AND_DETAIL: &'static str = "Can not specify ?detail=True and fields in the same request.";

    /// A field whose shown form is not the kept one (secrets are masked): the kept one.
    fn kept(&self, _field: &str) -> Option<Value> {
        None
    }
}

/// Who refuses a path that holds neither UUID nor name, and in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIdent {
    /// Routing: the handler is never asked.
    Routing,
    /// The handler, in the words of routing.
    Handler,
    /// The handler, in its own.
    Logical,
}

/// A filter of a list and since when it is known.
pub type Filters = &'static [(&'static str, u16)];

/// The arguments of a list.
///
/// # Errors
/// 400 for names that nobody knows, 406 for filters that the version does not have.
pub fn list_args<T: Resource>(call: &Call, filters: Filters) -> Result<Args, ApiError> {
    let paging = page::ARGS.iter().copied().filter(|name| *name != "detail" || T::DETAIL_SINCE != u16::MAX);
    let known: Vec<&str> = filters.iter().map(|filter| filter.0).chain(paging).collect();
    let args = Args::query(call, &known)?;
    if filters.iter().any(|(name, since)| args.has(name) && !call.version.has(*since)) {
        return Err(ApiError::too_new());
    }
    if args.has("detail") && !call.version.has(T::DETAIL_SINCE) {
        return Err(ApiError::invalid("Invalid query parameter ?detail=True received."));
    }
    Ok(args)
}

/// A list. `path` is where it is; `/detail` shows everything.
///
/// # Errors
/// What arguments and store say.
pub async fn list<T: Resource>(call: &Call, args: &Args, filter: RecordFilter, path: &str) -> Result<Answer, ApiError> {
    let always = path.ends_with("/detail");
    let whole = T::LISTS_ALL && !args.has("fields");
    let detail = always || whole || args.boolean("detail")?.unwrap_or(false);
    let selection = select::<T>(call, args, detail, T::SHORT)?;
    if let (true, Some(word)) = (T::QUERY_SCHEMA, args.text("sort_dir")?.filter(|word| !["asc", "desc"].contains(word)))
    {
        return Err(ApiError::invalid(format!("Schema error: '{}' is not one of ['asc', 'desc']", cut(word))));
    }
    let paging = page::read(call, args, T::table())?;
    let ids = call.conductor.store.record_ids(T::KIND, &call.visible_records(T::KIND), &filter, &paging.page).await?;
    let carried: &[(&str, String)] = if detail && !always && !whole { &[("detail", "True".into())] } else { &[] };
    Rows::of(call, (T::LIST, path), T::table(), ids, &paging, selection, carried).answer().await
}

/// One of them by a UUID or a name in the path.
///
/// # Errors
/// 400, 404.
pub async fn of_path<T: Resource>(call: &Call) -> Result<T, ApiError> {
    of_path_as(call, T::BAD_IDENT).await
}

/// [`of_path`] where the refusal of what is no identifier is another one.
///
/// # Errors
/// 400, 404.
pub async fn of_path_as<T: Resource>(call: &Call, refusal: BadIdent) -> Result<T, ApiError> {
    let ident = ident::of_path(call.param(0), T::NOUN).map_err(|error| match refusal {
        BadIdent::Routing => error,
        BadIdent::Handler => ApiError::invalid(error.text),
        BadIdent::Logical => {
            ApiError::invalid(format!("Expected a logical name or UUID but received {}.", cut(call.param(0))))
        }
    })?;
    Ok(call.conductor.store.find(&ident).await?)
}

/// One of them by a UUID in the path; `argument` is how the contract calls it.
///
/// # Errors
/// 400, 404.
pub async fn of_uuid<T: Resource>(call: &Call, argument: &str) -> Result<T, ApiError> {
    let text = call.param(0);
    match ident::uuid(text) {
        Some(uuid) => Ok(call.conductor.store.find(&uuid.to_string()).await?),
        None => Err(ApiError::invalid(format!("Expected UUID for {argument}: {}", cut(text)))),
    }
}

/// The fields that the query of a GET asks for; to be checked before the resource is looked up.
///
/// # Errors
/// 400, 406.
pub fn wanted<T: Resource>(call: &Call) -> Result<Selection, ApiError> {
    let args = Args::query(call, &["fields"])?;
    select::<T>(call, &args, !args.has("fields"), &[])
}

fn select<T: Resource>(call: &Call, args: &Args, detail: bool, short: &[&str]) -> Result<Selection, ApiError> {
    let fields = args.words("fields")?;
    let fields = fields.as_deref();
    if detail && fields.is_some() {
        return Err(ApiError::invalid(T::FIELDS_AND_DETAIL));
    }
    let mut known: Vec<&str> = T::table().iter().map(|field| field.name).collect();
    if let Some(name) =
        fields.unwrap_or_default().split(',').find(|name| !name.is_empty() && !known.contains(&name.trim()))
    {
        known.sort_unstable();
        let known: Vec<String> = known.iter().map(|name| format!("'{name}'")).collect();
        return Err(ApiError::invalid(format!("Schema error: '{}' is not one of [{}]", cut(name), known.join(", "))));
    }
    selection(T::table(), fields, detail, short, call.version)
}

/// How often a PATCH is done again because somebody else was faster. Of those who try at once one is always through.
const TRIES: usize = 250;

/// Reads a record and writes it changed: again, with what the other left, as long as somebody changes it in between. With a
/// condition of his own (`If-Match`) the client decides.
///
/// # Errors
/// What `once` says; 409 when it is never through.
pub async fn again<T, F>(once: impl Fn() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    for _ in 0..TRIES {
        match once().await {
            Err(error) if error.status == StatusCode::PRECONDITION_FAILED && present().is_none() => {}
            done => return done,
        }
    }
    Err(ApiError::conflict("It is changed all the time; try again later"))
}

/// Keeps what a PATCH made, if it made anything new, and answers.
///
/// # Errors
/// 412 when somebody was faster, and what else the store says.
pub async fn keep<T: Resource + PartialEq>(call: &Call, before: &T, after: &T) -> Result<Answer, ApiError> {
    if after == before {
        return Ok(Answer::ok(full(call, before)));
    }
    let kept = call.conductor.store.put_unchanged(after).await?;
    Ok(Answer::ok(full(call, &kept)))
}

/// The whole resource.
pub fn full<T: Resource>(call: &Call, resource: &T) -> Value {
    call.shows(resource.meta().id, resource.meta().revision);
    shown(T::table(), resource, &Selection::All, &View::of(call))
}

/// The answer to a GET.
pub fn answer<T: Resource>(call: &Call, resource: &T, selection: &Selection) -> Answer {
    call.shows(resource.meta().id, resource.meta().revision);
    Answer::ok(shown(T::table(), resource, selection, &View::of(call)))
}

/// The answer to a POST.
pub fn created<T: Resource>(call: &Call, resource: &T) -> Answer {
    let location = format!("{}/v1/{}/{}", call.base, T::PATH, resource.meta().uuid);
    Answer::created(full(call, resource), location)
}

/// Reads the body of a PATCH and checks what can be said without the resource.
///
/// # Errors
/// 400 for the schema and for fields that nobody may change, 406 for fields that the version does not have.
pub fn changes<T: Resource>(call: &Call) -> Result<Vec<Change>, ApiError> {
    Args::query(call, &[])?;
    let changes = patch::parse(call.json()?, call.version)?;
    for change in &changes {
        match T::table().iter().find(|field| field.name == change.root() && field.on_patch()) {
            Some(field) if call.version.has(field.since) => {}
            Some(_) => return Err(ApiError::too_new()),
            None => {
                let fields = T::table().iter().filter(|field| field.on_patch());
                let mut names: Vec<&str> = fields.map(|field| field.name).collect();
                names.sort_by_key(|name| T::PATCHED.iter().position(|known| known == name));
                return Err(ApiError::invalid(format!(
                    "Cannot patch /{}. Only the following can be updated: {}",
                    cut(change.root()),
                    names.join(", ")
                )));
            }
        }
    }
    Ok(changes)
}

/// The resource as the changes make it. Masked secrets that come back keep what they hide.
///
/// # Errors
/// 400.
pub fn patched<T: Resource>(call: &Call, before: &T, changes: &[Change]) -> Result<T, ApiError> {
    let view = View::of(call);
    let mut document = Map::new();
    for field in T::table().iter().filter(|field| field.on_patch()) {
        let value = before.kept(field.name).unwrap_or_else(|| field.value(before, &view));
        document.insert(field.name.into(), value);
    }
    for change in changes {
        patch::apply(&mut document, change).map_err(ApiError::invalid)?;
    }
    let mut after = before.clone();
    for field in T::table().iter().filter(|field| changes.iter().any(|change| change.root() == field.name)) {
        let value = document.remove(field.name).unwrap_or(Value::Null);
        let value = match before.kept(field.name) {
            Some(kept) => patch::unmasked(&kept, &field.value(before, &view), value),
            None => value,
        };
        (field.set)(&mut after, field.name, value).map_err(|text| schema("patch", text))?;
    }
    Ok(after)
}

/// The caller may give the node that a POST names something new. `missing`: the refusal when there is no such node, 400
/// because it is not what the path names; strangers are not told.
///
/// # Errors
/// 400, 403.
pub async fn may_add(call: &Call, rule: &str, node: Uuid, missing: String) -> Result<(), ApiError> {
    match call.conductor.store.node(&node.to_string()).await {
        Ok(node) => call.permit(rule, &target(&node)),
        Err(StoreError::NotFound(_)) => {
            call.permit(rule, &Target::NONE)?;
            Err(ApiError::invalid(missing))
        }
        Err(error) => Err(error.into()),
    }
}

/// A record may go from one node to another that its owner has too.
///
/// # Errors
/// 400.
pub async fn may_move(call: &Call, before: Uuid, after: Uuid) -> Result<(), ApiError> {
    if before == after {
        return Ok(());
    }
    let owner = call.conductor.store.node(&before.to_string()).await?.owner;
    call.linked(owner.as_deref(), &after.to_string(), "node_uuid").await.map(drop)
}
