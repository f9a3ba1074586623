//! The top level of the repository: these names and no others.

use super::sources::{complain, root};

const REQUIRED: &[&str] =
    &["Cargo.toml", "conductor", "agent", "common", "image", "tests", "README.md", "LICENSE", "docs", "Cargo.lock"];
const ALLOWED: &[&str] = &["Makefile", "CHANGELOG.md"];
/// What cargo makes; git ignores it.
const MADE: &[&str] = &["target"];

#[test]
fn the_top_level_is_as_the_plan_has_it() {
    let names: Vec<String> = std::fs::read_dir(root())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8 name"))
        .collect();
    let known = |name: &str| [REQUIRED, ALLOWED, MADE].iter().any(|list| list.contains(&name)) || name.starts_with('.');
    let mut complaints: Vec<String> =
        names.iter().filter(|name| !known(name)).map(|name| format!("{name} does not belong there")).collect();
    let missing = REQUIRED.iter().filter(|name| !names.iter().any(|found| found == *name));
    complaints.extend(missing.map(|name| format!("{name} is missing")));
    complain("The top level holds the five crates, README and what the plan lists beside them:", &complaints);
}
