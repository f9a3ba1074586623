//! The description as one page of HTML: no scripts, nothing from elsewhere.

use crate::api::refusal_text::escaped;
use serde_json::Value;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}\
details{border-left:3px solid #ccc;margin:.4em 0;padding:.2em .8em}summary{cursor:pointer}code,pre{font:13px/1.4 ui-monospace,monospace}\
b{display:inline-block;min-width:4.5em}table{border-collapse:collapse}td{padding:.1em 1em .1em 0;vertical-align:top}small{color:#666}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}details{border-color:#555}a{color:#8bf}small{color:#999}}";

/// The page.
pub fn page(document: &Value) -> String {
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{about}</p>\
         <p><a href=\"openapi.json\">openapi.json</a></p>",
        title = text(&document["info"]["title"]),
        about = text(&document["info"]["description"]),
    );
    let mut tag = String::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let mine = text(&operation["tags"][0]);
            if mine != tag {
                let _ = write!(page, "<h2>{mine}</h2>");
                tag = mine;
            }
            let since =
                operation["x-since"].as_str().map_or(String::new(), |since| format!(" <small>since {since}</small>"));
            let _ = write!(
                page,
                "<details><summary><b>{}</b> <code>{}</code>{since}<br>{}</summary>",
                method.to_uppercase(),
                escaped(path),
                text(&operation["summary"])
            );
            if let Some(rule) = operation["x-policy-rule"].as_str() {
                let _ = write!(page, "<p>Rule: <code>{}</code></p>", escaped(rule));
            }
            page.push_str("<table>");
            let own = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["name"].is_string());
            for parameter in own {
                let _ = write!(
                    page,
                    "<tr><td><code>{}</code><td>{}<td><code>{}</code>",
                    text(&parameter["name"]),
                    text(&parameter["in"]),
                    escaped(&parameter["schema"].to_string())
                );
            }
            page.push_str("</table>");
            if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
                let _ = write!(page, "<p>Body:</p>{}", shown(schema));
            }
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                let schema = response.pointer("/content/application~1json/schema").map_or(String::new(), shown);
                let _ = write!(page, "<p>{}</p>{schema}", escaped(status));
            }
            page.push_str("</details>");
        }
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escaped(name);
        let _ = write!(page, "<details id=\"{name}\"><summary>{name}</summary>{}</details>", shown(schema));
    }
    page
}

fn shown(schema: &Value) -> String {
    let pretty = serde_json::to_string_pretty(schema).unwrap_or_default();
    format!("<pre>{}</pre>", escaped(&pretty))
}
