//! Conditional requests (RFC 9110, section 13): entity tags of answers, `If-Match` and `If-None-Match` of requests.
//!
//! A tag is `"ID-REVISION-DIGEST"`. The first two say which state of which record was read; a write compares them, whatever
//! version or fields the reader had asked for. The digest is of the body, so that two different answers never share a tag.
//! Sub-resources of a node carry the node's state. The comparison that counts is made by the store, in the transaction of
//! the first write (`store::expect`); the one here only refuses early what is stale already.

use super::body::{Content, JSON, text};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::ident;
use super::route::Route;
use crate::model::record::Kind;
use crate::store::StoreError;
use crate::store::expect::{Expectation, Reading, Subject};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use std::hash::{DefaultHasher, Hasher};
use uuid::Uuid;

/// Most tags in one header; more is an attack.
const MOST_TAGS: usize = 64;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    /// These, as they were written, without `W/`; `true`: weak.
    These(Vec<(String, bool)>),
}

/// The conditions of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Conditions {
    /// Reads the headers.
    ///
    /// # Errors
    /// 400 for what is no list of entity tags: a condition that was not understood must not be dropped.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Conditions {
            if_match: tags(headers, &header::IF_MATCH)?,
            if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
        })
    }

    /// The answer with this tag is what the client has already.
    pub fn has_already(&self, tag: &str) -> bool {
        match &self.if_none_match {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|(known, _)| known == tag),
        }
    }

    /// What the writes of this request must find; refuses what they cannot find any more.
    ///
    /// # Errors
    /// 412.
    pub async fn expectation(
        &self,
        call: &Call,
        method: &Method,
        route: &Route,
    ) -> Result<Option<Expectation>, ApiError> {
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(None);
        }
        let ((Some(tags), _) | (None, Some(tags))) = (&self.if_match, &self.if_none_match) else { return Ok(None) };
        let present = present(call, route).await?;
        if self.if_match.is_none() {
            // "Only if it is none of these": for writes as a guard against making something twice.
            let is_there = present.as_ref().is_some_and(|(.., reading)| match tags {
                Tags::Any => true,
                Tags::These(tags) => tags.iter().any(|(tag, _)| reading_of(tag) == Some(*reading)),
            });
            return if is_there { Err(ApiError::precondition(route.path)) } else { Ok(None) };
        }
        let Some((subject, uuid, reading)) = present else { return Err(ApiError::precondition(route.path)) };
        let wanted = match tags {
            Tags::Any => return Ok(None),
            // Weak tags never match a write (RFC 9110, section 13.1.1).
            Tags::These(tags) => tags.iter().filter(|(_, weak)| !weak).filter_map(|(tag, _)| reading_of(tag)),
        };
        let readings: Vec<Reading> = wanted.collect();
        if readings.contains(&reading) {
            Ok(Some(Expectation::new(subject, uuid, readings)))
        } else {
            Err(ApiError::precondition(route.path))
        }
    }
}

/// Writes the tag on an answer whose body is known; 304 without a body when the client `has` it. Streams have no tag.
pub fn tagged(mut answer: Answer, reading: Option<Reading>, has: impl FnOnce(&str) -> bool) -> Answer {
    let (kind, bytes) = match answer.body.take() {
        Some(Content::Json(value)) => (JSON, text(&value)),
        Some(Content::Bytes(kind, bytes)) => (kind, bytes),
        other => {
            answer.body = other;
            return answer;
        }
    };
    let tag = tag(reading, &bytes);
    answer.headers.push((header::ETAG, format!("\"{tag}\"")));
    if has(&tag) {
        answer.status = StatusCode::NOT_MODIFIED;
    } else {
        answer.body = Some(Content::Bytes(kind, bytes));
    }
    answer
}

/// The tag of an answer: of which state of what, and with which body.
fn tag(reading: Option<Reading>, body: &[u8]) -> String {
    let mut digest = DefaultHasher::new();
    digest.write(body);
    let Reading { id, revision } = reading.unwrap_or(Reading { id: 0, revision: 0 });
    format!("{id}-{revision}-{:016x}", digest.finish())
}

fn reading_of(tag: &str) -> Option<Reading> {
    let mut parts = tag.split('-');
    let reading = Reading { id: parts.next()?.parse().ok()?, revision: parts.next()?.parse().ok()? };
    // Nothing has the id 0: documents and lists have no state that a write could ask for.
    (parts.next().is_some() && parts.next().is_none() && reading.id > 0).then_some(reading)
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ApiError> {
    let bad =
        || ApiError::invalid(format!("{name} is no list of entity tags (\"...\", separated by commas) and not *"));
    let mut found = Vec::new();
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    for value in values {
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            return Ok(Some(Tags::Any));
        }
        let mut rest = text;
        while !rest.is_empty() {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
            let inner = quoted.strip_prefix('"').ok_or_else(bad)?;
            let (tag, after) = inner.split_once('"').ok_or_else(bad)?;
            found.push((tag.to_owned(), weak));
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(next) => rest = next.trim_start(),
                None if rest.is_empty() => {}
                None => return Err(bad()),
            }
            if found.len() > MOST_TAGS {
                return Err(bad());
            }
        }
    }
    Ok(Some(Tags::These(found)))
}

/// The record that a path names, and its state; `None`: it names none, or one that is not there (the handler says so).
async fn present(call: &Call, route: &Route) -> Result<Option<(Subject, Uuid, Reading)>, ApiError> {
    let mut words = route.path.split('/').skip(2);
    let store = &call.conductor.store;
    let param = call.param(0);
    let kind = match (words.next(), words.next(), words.next()) {
        (Some("nodes"), Some("{}"), _) => {
            let Ok(ident) = ident::of_path(param, "node") else { return Ok(None) };
            return there(
                store
                    .node(&ident)
                    .await
                    .map(|node| (Subject::Node, node.uuid, Reading { id: node.id, revision: node.revision })),
            );
        }
        (Some("ports"), Some("{}"), _) => {
            return there(
                store
                    .port(param)
                    .await
                    .map(|port| (Subject::Port, port.uuid, Reading { id: port.id, revision: port.revision })),
            );
        }
        (Some("volume"), Some("connectors"), Some("{}")) => Kind::VolumeConnector,
        (Some("volume"), Some("targets"), Some("{}")) => Kind::VolumeTarget,
        (Some("chassis"), Some("{}"), _) => Kind::Chassis,
        (Some("portgroups"), Some("{}"), _) => Kind::PortGroup,
        (Some("allocations"), Some("{}"), _) => Kind::Allocation,
        (Some("deploy_templates"), Some("{}"), _) => Kind::DeployTemplate,
        (Some("runbooks"), Some("{}"), _) => Kind::Runbook,
        (Some("inspection_rules"), Some("{}"), _) => Kind::InspectionRule,
        _ => return Ok(None),
    };
    there(store.record(kind, param).await.map(|record| {
        let meta = record.meta;
        (Subject::Record(kind), meta.uuid, Reading { id: meta.id, revision: meta.revision })
    }))
}

fn there<T>(found: Result<T, StoreError>) -> Result<Option<T>, ApiError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(name: HeaderName, text: &'static str) -> Result<Conditions, ApiError> {
        Conditions::of(&HeaderMap::from_iter([(name, HeaderValue::from_static(text))]))
    }

    #[test]
    fn tags_carry_a_state_whatever_the_body_was() {
        let reading = Reading { id: 7, revision: 3 };
        let (one, two) = (tag(Some(reading), b"{}"), tag(Some(reading), b"{\"a\":1}"));
        assert_ne!(one, two);
        assert_eq!((reading_of(&one), reading_of(&two)), (Some(reading), Some(reading)));
        assert_eq!(reading_of(&tag(None, b"{}")), None);
        for odd in ["", "7", "7-3", "x-3-0", "7-3-0-1", "--", "-1-3-0"] {
            assert_eq!(reading_of(odd), None, "{odd}");
        }
    }

    #[test]
    fn lists_of_tags_are_read_and_nonsense_is_refused_not_dropped() {
        let these = |tags: &[(&str, bool)]| {
            Some(Tags::These(tags.iter().map(|(tag, weak)| ((*tag).to_owned(), *weak)).collect()))
        };
        let read = |text| asked(header::IF_MATCH, text).map(|conditions| conditions.if_match);
        assert_eq!(read("\"a\", W/\"b\",\"\""), Ok(these(&[("a", false), ("b", true), ("", false)])));
        assert_eq!(read(" * "), Ok(Some(Tags::Any)));
        for bad in ["a", "\"a", "\"a\" \"b\"", "W/a", "\"a\"x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(Conditions::of(&HeaderMap::new()), Ok(Conditions::default()));
    }

    #[test]
    fn a_reader_has_what_has_the_same_tag_weak_or_not() {
        let has = |text| asked(header::IF_NONE_MATCH, text).unwrap().has_already("1-2-3");
        assert!(has("\"1-2-3\"") && has("W/\"1-2-3\", \"x\"") && has("*"));
        assert!(!has("\"1-2-4\""));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in "[ -~]{0,80}") {
            let value = HeaderValue::from_str(&text).unwrap();
            let _ = Conditions::of(&HeaderMap::from_iter([(header::IF_MATCH, value)]));
            let _ = reading_of(&text);
        }
    }
}
