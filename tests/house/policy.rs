//! `docs/policy.md` is printed from the policy and the table of calls, and compared.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tests --test house` writes it anew.

use super::printed::stands_in;
use std::fmt::Write;

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
    stands_in("docs/policy.md", "conductor::policy and the table of calls", &printed());
}
