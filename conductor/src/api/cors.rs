//! Pages of other origins: what browsers are told about who may use the API (Fetch standard, section 3.3; `[cors]`).
//!
//! Without an allowed origin nothing is said, and browsers refuse. A page that is not allowed gets the answer without the
//! headers: its browser hides it.

use crate::config::Cors as Options;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Headers that every page may send: the usual ones and those that clients of this API need.
const SIMPLE: &[&str] = &[
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Cache-Control",
    "Content-Language",
    "Expires",
    "Last-Modified",
    "Pragma",
    "X-Auth-Token",
    "X-OpenStack-Ironic-API-Maximum-Version",
    "X-OpenStack-Ironic-API-Minimum-Version",
    "X-OpenStack-Ironic-API-Version",
];

/// The rules.
pub struct Cors(Options);

/// What a request says about itself.
#[derive(Clone, Debug, Default)]
pub struct Page {
    preflight: bool,
    origin: Option<String>,
    method: Option<String>,
    headers: Vec<String>,
}

impl Page {
    /// Reads a request's head.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let asked = text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        Page {
            preflight: *method == Method::OPTIONS,
            origin: text(ORIGIN),
            method: text(ACCESS_CONTROL_REQUEST_METHOD),
            headers: asked.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        }
    }
}

impl Cors {
    /// The rules of these options.
    pub fn new(options: &Options) -> Self {
        Cors(options.clone())
    }

    /// Adds what the browser is to know.
    pub fn apply(&self, page: &Page, headers: &mut HeaderMap) {
        let options = &self.0;
        if options.allowed_origin.is_empty() {
            return;
        }
        // The answer differs by origin: a cache must not give one page's to another, allowed or not.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = page.origin.as_deref().and_then(|origin| self.allowed(origin)) else { return };
        if page.preflight && !self.permits(page) {
            return;
        }
        let mut put = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        put(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if options.allow_credentials {
            put(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if !page.preflight {
            if !options.expose_headers.is_empty() {
                put(ACCESS_CONTROL_EXPOSE_HEADERS, &options.expose_headers.join(","));
            }
            return;
        }
        if options.max_age > 0 {
            put(ACCESS_CONTROL_MAX_AGE, &options.max_age.to_string());
        }
        put(ACCESS_CONTROL_ALLOW_METHODS, page.method.as_deref().unwrap_or_default());
        if !page.headers.is_empty() {
            put(ACCESS_CONTROL_ALLOW_HEADERS, &page.headers.join(","));
        }
    }

    /// The origin as the answer names it.
    fn allowed<'a>(&self, origin: &'a str) -> Option<&'a str> {
        let list = &self.0.allowed_origin;
        if list.iter().any(|known| known == origin) {
            return Some(origin);
        }
        list.iter().any(|known| known == "*").then_some("*")
    }

    fn permits(&self, page: &Page) -> bool {
        let options = &self.0;
        let known = |name: &String| {
            let extra = options.allow_headers.iter().map(String::as_str);
            SIMPLE.iter().copied().chain(extra).any(|header| header.eq_ignore_ascii_case(name))
        };
        page.method.as_ref().is_some_and(|method| options.allow_methods.contains(method))
            && page.headers.iter().all(known)
    }
}
