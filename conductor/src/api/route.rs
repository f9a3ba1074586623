//! Paths: from the text of a request to a row of the table (rest-api sections 1.1 and 1.2).

use super::call::{Answer, Call};
use super::error::ApiError;
use super::permit::Policy;
use super::table::TABLE;
use http::Method;
use std::future::Future;
use std::pin::Pin;

/// What a handler gives back.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;

/// Since when a route exists, and what older versions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Older versions: 404, as if there were no such route.
    Hidden(u16),
    /// Older versions: 406.
    Refused(u16),
    /// Older versions: 404 to a GET and 405 to everything else, in words that name the resource, while routing.
    Resource(u16),
    /// The same in the shape of a handler's refusal: the reference refuses some resources there, and the bodies differ so.
    HandledResource(u16),
}

/// One call, declared once.
pub struct Route {
    /// The verb.
    pub method: Method,
    /// The path below the root; `{}` stands for one parameter.
    pub path: &'static str,
    /// First version.
    pub since: Since,
    /// Who may.
    pub policy: Policy,
    /// What serves it.
    pub serve: for<'a> fn(&'a Call) -> Outcome<'a>,
}

/// Every call and the rule that its caller must satisfy; `None`: everybody may. For tests and for the OpenAPI document.
pub fn rules() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    TABLE.iter().map(|route| (word(&route.method), route.path, route.policy.rule())).collect()
}

fn word(method: &Method) -> &'static str {
    match *method {
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        _ => "PUT",
    }
}

/// What is beside the versions: never `/v1/...`.
const OUTSIDE: &[&str] = &["openapi.json", "docs"];

/// The decoded parts of a path; `None` when an escape is broken or hides a slash's worth of trouble.
///
/// A trailing slash is dropped; `/nodes...` and the other resources work without `/v1` because bookmark links say so.
pub fn parts(path: &str, strip_json: bool) -> Option<Vec<String>> {
    let mut parts: Vec<String> = path.split('/').skip(1).map(decode).collect::<Option<_>>()?;
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    if let [only] = &parts[..]
        && OUTSIDE.contains(&only.as_str())
    {
        return Some(parts);
    }
    if parts.first().is_some_and(|first| first != "v1") {
        parts.insert(0, "v1".into());
    }
    // Below 1.91 a file suffix of the last part is no part of the name.
    if strip_json
        && parts.len() > 1
        && let Some(last) = parts.last_mut()
        && let Some(bare) = last.strip_suffix(".json")
    {
        *last = bare.to_owned();
    }
    Some(parts)
}

fn decode(part: &str) -> Option<String> {
    if !part.contains('%') {
        return Some(part.to_owned());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a path when it fits a pattern.
pub fn fit(pattern: &str, parts: &[String]) -> Option<Vec<String>> {
    let mut params = Vec::new();
    let mut wanted = pattern.split('/').skip(1).filter(|part| !part.is_empty());
    for part in parts {
        match wanted.next()? {
            "{}" if part.is_empty() => return None,
            "{}" => params.push(part.clone()),
            word if word == part => {}
            _ => return None,
        }
    }
    wanted.next().is_none().then_some(params)
}

/// What a table says about a path.
pub enum Found<'t> {
    /// This row, with these parameters.
    Route(&'t Route, Vec<String>),
    /// The path is known, but only with these methods.
    OtherMethods(Vec<&'static str>),
    /// Nobody knows the path.
    Nothing,
}

/// Looks a path up; earlier rows win, so words stand before parameters.
pub fn find<'t>(table: &'t [Route], method: &Method, parts: &[String]) -> Found<'t> {
    let mut others = Vec::new();
    let mut pattern = None;
    // The word after the version says which resource it is, and no pattern has a parameter there: most rows need no closer look.
    let resource = parts.get(1).map_or("", String::as_str);
    for route in table {
        if route.path.strip_prefix("/v1/").is_some_and(|rest| !rest.starts_with(resource)) {
            continue;
        }
        // Rows of the same place carry the same pattern: a parameter must not answer for a word that came before it.
        if pattern.is_some_and(|pattern| pattern != route.path) {
            continue;
        }
        let Some(params) = fit(route.path, parts) else { continue };
        pattern = Some(route.path);
        if route.method == *method {
            return Found::Route(route, params);
        }
        others.push(word(&route.method));
    }
    others.sort_unstable();
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|part| (*part).to_owned()).collect()
    }

    #[test]
    fn slashes_escapes_suffixes_and_bookmarks() {
        assert_eq!(parts("/v1/nodes/", true), Some(owned(&["v1", "nodes"])));
        assert_eq!(parts("/nodes/a%20b", true), Some(owned(&["v1", "nodes", "a b"])));
        assert_eq!(parts("/v1/nodes/a.json", true), Some(owned(&["v1", "nodes", "a"])));
        assert_eq!(parts("/v1/nodes/a.json", false), Some(owned(&["v1", "nodes", "a.json"])));
        assert_eq!(parts("/openapi.json", true), Some(owned(&["openapi.json"])));
        assert_eq!(parts("/", true), Some(vec![]));
        assert_eq!(parts("/v1/%zz", true), None);
        assert_eq!(parts("/v1/%ff", true), None);
    }

    #[test]
    fn patterns_fit_whole_paths_only() {
        assert_eq!(fit("/v1/nodes/{}/states", &owned(&["v1", "nodes", "a", "states"])), Some(owned(&["a"])));
        assert_eq!(fit("/v1/nodes/{}", &owned(&["v1", "nodes"])), None);
        assert_eq!(fit("/v1/nodes/{}", &owned(&["v1", "nodes", "a", "b"])), None);
        assert_eq!(fit("/v1/nodes/{}/states", &owned(&["v1", "nodes", "", "states"])), None);
        assert_eq!(fit("/", &[]), Some(vec![]));
    }
}
