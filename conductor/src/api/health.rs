//! `/healthcheck`: whether the API lives, for load balancers; as the reference's library answers it without backends and
//! details. No credentials, any method, and everything below the path.

use super::accept;
use super::body::Content;
use super::call::Answer;
use http::{Method, StatusCode};

/// Kinds of the answer, the preferred one first; it is also given to whoever takes none of them.
const KINDS: [&str; 3] = ["text/plain", "text/html", "application/json"];

const PAGE: &str = "<HTML>\n<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>\n<BODY>\n\n<H2>Result of 0 checks:</H2>\n\
    <TABLE bgcolor=\"#ffffff\" border=\"1\">\n<TBODY>\n<TR>\n\n<TH>\nReason\n</TH>\n</TR>\n\n</TBODY>\n</TABLE>\n<HR></HR>\n\n</BODY>\n</HTML>";

/// The path belongs to it.
pub fn is_here(path: &str) -> bool {
    path.strip_prefix("/healthcheck").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer.
pub fn answer(method: &Method, wish: Option<&str>) -> Answer {
    if *method == Method::HEAD {
        return Answer { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() };
    }
    let content = match accept::preferred(wish, &KINDS) {
        Some("text/html") => Content::Bytes("text/html; charset=UTF-8", PAGE.into()),
        Some("application/json") => {
            Content::Bytes("application/json", "{\n    \"detailed\": false,\n    \"reasons\": []\n}".into())
        }
        _ => Content::Bytes("text/plain; charset=UTF-8", String::new().into()),
    };
    Answer::content(content)
}
