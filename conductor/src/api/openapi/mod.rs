//! The API described for programs and people: OpenAPI 3.1 out of the route table and the field tables.
//!
//! A row of the table is in the document at once; what is declared in [`calls`] gives it arguments and answers. The document
//! is checked in as `docs/openapi.json` and compared by a test.

mod calls;
mod page;
mod schema;

use super::args::Args;
use super::body::{Content, JSON};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::events;
use super::route::{Route, Since};
use super::table::TABLE;
use bytes::Bytes;
use calls::{Body, CALLS, Declared, Reply};
use schema::{fields_of, typed};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Both forms, made once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
static PAGE: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(page::page(&document())));

/// `GET /openapi.json`.
pub async fn json(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(Answer::content(Content::Bytes(JSON, DOCUMENT.clone())))
}

/// `GET /docs`.
pub async fn page(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let mut answer = Answer::content(Content::Bytes("text/html; charset=utf-8", PAGE.clone()));
    answer
        .headers
        .push((http::header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'".into()));
    Ok(answer)
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in TABLE {
        let (path, params) = named_path(route.path);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_ascii_lowercase()] = operation(route, &params);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Wrought: the OpenStack Ironic API",
            "version": "1.115",
            "description": "Bare-metal machines by the protocol of OpenStack Ironic, microversions 1.1 to 1.115. Fields and \
    calls of later versions carry `x-since`; without the version header a request speaks 1.1. `x-policy-rule` names the rule that the caller must satisfy.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"basic": []}, {"token": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schema::components(),
            "parameters": {"Version": {
                "name": "X-OpenStack-Ironic-API-Version", "in": "header", "required": false,
                "description": "What the request speaks: 1.1 to 1.115, or latest.",
                "schema": {"type": "string", "pattern": "^(1\\.[0-9]{1,3}|latest)$"},
            }},
            "responses": {"Error": {
                "description": "Refused. The text says what happened and what to do; it is JSON in JSON, as the reference has it.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    })
}

/// `/v1/nodes/{}/traits/{}` as `/v1/nodes/{node_ident}/traits/{trait}`, and the names.
fn named_path(pattern: &str) -> (String, Vec<String>) {
    let (mut path, mut names): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut before = "";
    for part in pattern.split('/') {
        if part != "{}" {
            before = part;
            path.push(part.into());
            continue;
        }
        let name = match before {
            "nodes" | "heartbeat" => "node_ident",
            "chassis" => "chassis_ident",
            "drivers" => "driver_name",
            "conductors" => "hostname",
            "traits" => "trait",
            "vendor_passthru" => "method",
            "bios" => "setting_name",
            "history" => "history_ident",
            other => &format!("{}_ident", other.strip_suffix('s').unwrap_or(other)),
        };
        path.push(format!("{{{name}}}"));
        names.push(name.to_owned());
    }
    (path.join("/"), names)
}

fn operation(route: &Route, params: &[String]) -> Value {
    let method = route.method.as_str();
    let declared = CALLS.iter().find(|call| call.method == method && call.path == route.path);
    let words: Vec<&str> = route.path.split('/').filter(|word| !word.is_empty() && *word != "v1").collect();
    let by: Vec<String> =
        words.iter().map(|word| if *word == "{}" { "by_ident".into() } else { word.replace('.', "_") }).collect();
    let id = if by.is_empty() {
        format!("{}_{}", method, if route.path == "/" { "root" } else { "v1" })
    } else {
        format!("{method}_{}", by.join("_"))
    };
    let mut parameters = vec![json!({"$ref": "#/components/parameters/Version"})];
    parameters.extend(params.iter().map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}),
    ));
    if let Some(declared) = declared {
        parameters.extend(
            declared
                .query_fields()
                .map(|(name, kind)| json!({"name": name, "in": "query", "required": false, "schema": typed(kind)})),
        );
    }
    let mut operation = json!({
        "operationId": id.to_ascii_lowercase(),
        "tags": [words.first().copied().unwrap_or("versions")],
        "summary": declared.map_or_else(|| format!("{method} {}", route.path), |declared| declared.summary.into()),
        "parameters": parameters,
        "responses": responses(method, declared),
    });
    let (Since::Hidden(since) | Since::Refused(since) | Since::Resource(since) | Since::HandledResource(since)) =
        route.since;
    if since > 1 {
        operation["x-since"] = json!(format!("1.{since}"));
    }
    match route.policy.rule() {
        Some(rule) => operation["x-policy-rule"] = json!(rule),
        None => operation["security"] = json!([]),
    }
    if let Some(body) = body(method, declared) {
        operation["requestBody"] = body;
    }
    operation
}

fn body(method: &str, declared: Option<&Declared>) -> Option<Value> {
    let schema = match declared.map(|declared| declared.body) {
        Some(Body::None) => return None,
        Some(Body::Schema(name)) => typed(name),
        Some(Body::Fields(spec)) => fields_of(spec),
        // Nobody declared it: it takes what it takes.
        None if matches!(method, "POST" | "PUT" | "PATCH") => json!({}),
        None => return None,
    };
    Some(json!({"required": false, "content": {"application/json": {"schema": schema}}}))
}

fn responses(method: &str, declared: Option<&Declared>) -> Value {
    let (status, reply) = declared.map_or(("2XX", Reply::Undeclared), |declared| (declared.status, declared.reply));
    let content = |schema: Value| json!({"application/json": {"schema": schema}});
    let mut success = json!({"description": match method {
        "DELETE" => "Done, or begun.",
        "GET" => "As asked.",
        _ => "Taken.",
    }});
    match reply {
        Reply::Nothing => {}
        Reply::Undeclared => success["content"] = content(json!({})),
        Reply::Schema(name) => success["content"] = content(typed(name)),
        Reply::Fields(spec) => success["content"] = content(fields_of(spec)),
        Reply::List(key, name) => {
            let mut list = json!({"type": "object", "required": [key], "properties": {}});
            list["properties"][key] = json!({"type": "array", "items": typed(name)});
            list["properties"]["next"] = json!({"type": "string", "description": "Where the list goes on."});
            success["content"] = content(list);
        }
        Reply::Events => success["content"] = json!({events::KIND: {"schema": {"type": "string"}}}),
        Reply::Page => success["content"] = json!({"text/html": {"schema": {"type": "string"}}}),
    }
    let mut responses = json!({});
    responses[status] = success;
    responses["default"] = json!({"$ref": "#/components/responses/Error"});
    responses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_row_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(operations, TABLE.len());
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let mut ids: Vec<&Value> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| &operation["operationId"])
            .collect();
        let all = ids.len();
        ids.sort_by_key(|id| id.to_string());
        ids.dedup();
        assert_eq!(ids.len(), all, "an operation has an id of its own");
    }

    #[test]
    fn nothing_is_declared_that_is_not_served() {
        for call in CALLS {
            assert!(
                TABLE.iter().any(|route| route.method == call.method && route.path == call.path),
                "{} {}",
                call.method,
                call.path
            );
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_shows_every_call() {
        let page = page::page(&document());
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("@import"), "{page}");
        for route in TABLE {
            assert!(page.contains(&named_path(route.path).0), "{}", route.path);
        }
    }
}
