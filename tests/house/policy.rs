//! `docs/policy.md` is printed from the policy and the table of calls, and compared.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tests --test house` writes it anew.

use super::sources::root;
use std::fmt::Write;

const BEGIN: &str = "<!-- printed from conductor::policy and the table of calls: do not edit -->\n";
const END: &str = "<!-- end of what is printed -->\n";

fn printed() -> String {
    let mut text = String::from("## Rules\n\n");
    text.push_str(&conductor::policy::print::table());
    text.push_str("\n## Calls\n\n| Call | Rule |\n|---|---|\n");
    for (method, path, rule) in conductor::api::rules() {
        let rule = rule.map_or("open to everybody".into(), |rule| format!("`{rule}`"));
        let _ = writeln!(text, "| `{method} {path}` | {rule} |");
    }
    text
}

#[test]
fn the_page_shows_the_policy() {
    let path = root().join("docs/policy.md");
    let page = std::fs::read_to_string(&path).expect("docs/policy.md is there");
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark before the tables");
    let (shown, after) = rest.split_once(END).expect("the page has the mark after the tables");
    let printed = printed();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{printed}{END}{after}")).expect("writable");
        return;
    }
    assert_eq!(shown, printed, "the page is not the policy's; run the test with UPDATE_GOLDEN=1");
}
