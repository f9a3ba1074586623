//! What a refusal while routing says to clients that do not ask for JSON (rest-api section 2): its JSON body then holds a
//! page of HTML or a plain text, as the reference's framework writes them.

use super::accept;
use super::error::{ApiError, Shape};
use http::StatusCode;
use serde_json::{Value, json};

/// Where the text of a refusal is put together.
const BREAK: &str = "<br /><br />\n";

/// The client's side of a request, as far as the texts name it.
pub struct Asked<'a> {
    /// Its verb.
    pub method: &'a str,
    /// Its `Accept`.
    pub accept: Option<&'a str>,
}

impl Asked<'_> {
    /// The body of a refusal.
    pub fn body(&self, error: &ApiError) -> Value {
        // Without a wish, and with the wish for anything, it is JSON.
        let wish = self.accept.filter(|accept| *accept != "*/*");
        if error.shape != Shape::Routing || wish.is_none() {
            return error.body();
        }
        match accept::preferred(wish, &["text/html", "application/json"]) {
            Some("application/json") => error.body(),
            Some(_) => json!({ "error_message": self.page(error) }),
            None => json!({ "error_message": self.plain(error) }),
        }
    }

    fn page(&self, error: &ApiError) -> String {
        let (title, text) = (title(error.status), self.text(error, escaped));
        format!(
            "<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {text}\n </body>\n</html>"
        )
    }

    fn plain(&self, error: &ApiError) -> String {
        let text = self.text(error, str::to_owned).replace('\n', " ").replace("<br />", "\n");
        format!("{}\n\n{}", title(error.status), without_tags(&text))
    }

    fn text(&self, error: &ApiError, clean: impl Fn(&str) -> String) -> String {
        let detail = clean(&error.text);
        match error.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                let method = clean(self.method);
                format!("The method {method} is not allowed for this resource. {BREAK}{detail}")
            }
            StatusCode::NOT_ACCEPTABLE => {
                let wanted = clean(self.accept.unwrap_or_default());
                format!(
                    "The resource could not be generated that was acceptable to your browser\n(content of type {wanted}. {BREAK}{detail}"
                )
            }
            StatusCode::NOT_FOUND => format!("The resource could not be found.{BREAK}{detail}\n\n"),
            _ => format!(
                "The server could not comply with the request since it is either malformed or otherwise incorrect.{BREAK}{detail}\n\n"
            ),
        }
    }
}

fn title(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"))
}

/// For HTML: text stays text, in elements and in attributes.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#x27;")
}

/// Everything from `<` to the next `>` goes.
fn without_tags(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, tag)) = rest.split_once('<') {
        let Some((_, after)) = tag.split_once('>') else { break };
        kept.push_str(before);
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(accept: &str, error: &ApiError) -> String {
        let asked = Asked { method: "PUT", accept: Some(accept) };
        asked.body(error)["error_message"].as_str().unwrap().to_owned()
    }

    /// Captured from the reference.
    #[test]
    fn pages_and_texts_are_the_reference_s() {
        let bad = ApiError::bad_ident("Expected UUID or name for node: a b<script>");
        assert_eq!(
            said("text/html", &bad),
            "<html>\n <head>\n  <title>400 Bad Request</title>\n </head>\n <body>\n  <h1>400 Bad Request</h1>\n  The server could not comply with the request since it is either malformed or otherwise incorrect.<br /><br />\nExpected UUID or name for node: a b&lt;script&gt;\n\n\n </body>\n</html>"
        );
        assert_eq!(
            said("image/png", &bad),
            "400 Bad Request\n\nThe server could not comply with the request since it is either malformed or otherwise incorrect.\n\n Expected UUID or name for node: a b  "
        );
        assert_eq!(
            said("application/xml", &ApiError::no_route()),
            "404 Not Found\n\nThe resource could not be found.\n\n   "
        );
        assert_eq!(
            said("text/html", &ApiError::wrong_method("GET".into())),
            "<html>\n <head>\n  <title>405 Method Not Allowed</title>\n </head>\n <body>\n  <h1>405 Method Not Allowed</h1>\n  The method PUT is not allowed for this resource. <br /><br />\n\n </body>\n</html>"
        );
        assert_eq!(
            said("text/xml", &ApiError::not_acceptable()),
            "406 Not Acceptable\n\nThe resource could not be generated that was acceptable to your browser (content of type text/xml. \n\n "
        );
    }

    #[test]
    fn json_stays_json_and_nothing_of_a_client_becomes_markup() {
        let error = ApiError::no_route();
        for accept in ["*/*", "application/json", "application/json;q=0.9, text/html;q=0.1"] {
            let asked = Asked { method: "GET", accept: Some(accept) };
            assert_eq!(asked.body(&error), error.body());
        }
        let page = said("text/html, \"><script>alert('x')</script>", &ApiError::not_acceptable());
        assert!(!page.contains("<script>") && !page.contains('\''), "{page}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_stays_text(text in ".{0,100}") {
            let page = said("text/html", &ApiError::bad_ident(text));
            proptest::prop_assert_eq!(page.matches('<').count(), 12);
        }
    }
}
