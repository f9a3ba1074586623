//! Floors: a room uses lower floors of its crate, never its own floor or a higher one.
//!
//! The table is the sentence at the top of each crate's `lib.rs` (`5 service · 4 api, clock · ...`), so that whoever
//! reads a crate reads the truth. Modules of `main` know every part and are left out.

use super::sources::{Source, complain, sources};
use std::collections::BTreeMap;

const BEFORE_TABLE: &str = "never its own floor or a higher one):";

/// Room to floor, from the crate's first comment.
fn table(lib: &str) -> BTreeMap<String, u32> {
    let comment: String =
        lib.lines().map_while(|line| line.strip_prefix("//!")).flat_map(|line| [line, " "]).collect::<String>();
    let (_, rows) =
        comment.split_once(BEFORE_TABLE).expect("lib.rs says `Floors (…, never its own floor or a higher one):`");
    let mut table = BTreeMap::new();
    for row in rows.split('·') {
        let (floor, rooms) = row.trim().split_once(' ').expect("`4 `api`, `clock``");
        let floor = floor.parse().expect("each part of the sentence begins with the number of the floor");
        table.extend(rooms.split('`').skip(1).step_by(2).map(|room| (room.to_owned(), floor)));
    }
    table
}

/// Rooms that `lib.rs` declares.
fn rooms(lib: &str) -> Vec<&str> {
    let declared = |line: &'_ str| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")).is_some();
    lib.lines().filter(|line| declared(line)).filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';')).collect()
}

/// Which room a file belongs to, and how deep its module lies.
fn place(path: &str) -> (&str, usize) {
    let inner = path.split_once("/src/").map_or(path, |(_, inner)| inner);
    let room = inner.split('/').next().unwrap_or(inner);
    let depth = inner.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    (room.trim_end_matches(".rs"), depth)
}

/// Rooms that a line names: `crate::x`, `crate::{x, y}`, or as many `super::` as lead up to the crate.
fn named(line: &str, depth: usize) -> Vec<String> {
    let mut names = Vec::new();
    // rustfmt indents what is inside of an inline module: one floor deeper.
    let depth = depth + usize::from(line.starts_with(' '));
    for prefix in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in line.match_indices(&prefix) {
            let before = line[..at].chars().next_back();
            let rest = &line[at + prefix.len()..];
            if before.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == ':')
                || rest.starts_with("super::")
            {
                continue;
            }
            let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
            let many = rest.starts_with('{');
            names.extend(list.split(',').take(if many { usize::MAX } else { 1 }).map(first_word));
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
}

fn violations(krate: &str) -> Vec<String> {
    let files = sources(krate);
    let lib = &files.iter().find(|file| file.path == format!("{krate}/src/lib.rs")).expect("lib.rs").text;
    let (table, rooms) = (table(lib), rooms(lib));
    let mut complaints: Vec<String> = rooms
        .iter()
        .filter(|room| !table.contains_key(**room))
        .map(|room| format!("{krate}: the room `{room}` has no floor in lib.rs"))
        .collect();
    for file in &files {
        complaints.extend(of_file(file, &table, &rooms));
    }
    complaints
}

fn of_file(file: &Source, table: &BTreeMap<String, u32>, rooms: &[&str]) -> Vec<String> {
    let (room, depth) = place(&file.path);
    if !rooms.contains(&room) {
        return Vec::new();
    }
    let Some(&floor) = table.get(room) else { return Vec::new() };
    let mut complaints = Vec::new();
    for (at, line) in file.code() {
        for name in named(&line, depth) {
            if let Some(&other) = table.get(&name).filter(|_| name != room)
                && other >= floor
            {
                complaints.push(format!("{}:{at}: `{room}` (floor {floor}) uses `{name}` (floor {other})", file.path));
            }
        }
    }
    complaints
}

#[test]
fn rooms_use_lower_floors_only() {
    let complaints: Vec<String> =
        ["common", "conductor", "agent", "image"].iter().flat_map(|krate| violations(krate)).collect();
    complain("A room uses lower floors of its crate and `common`, never its own floor or a higher one:", &complaints);
}

#[test]
fn the_rule_sees_every_way_to_name_a_room() {
    assert_eq!(named("use crate::flow::run;", 1), ["flow"]);
    assert_eq!(named("use crate::{api, flow::run};", 3), ["api", "flow"]);
    assert_eq!(named("use super::super::flow::run;", 2), ["flow"]);
    assert!(named("    use super::super::config::X;", 2).is_empty(), "inside of an inline module");
    assert!(named("use super::flow;", 2).is_empty(), "a neighbour inside of the room");
    let table = table("//! X.\n//!\n//! Floors (…, never its own floor or a higher one):\n//! 1 `b`, `c` · 0 `a`.\n");
    assert_eq!(table, BTreeMap::from([("a".into(), 0), ("b".into(), 1), ("c".into(), 1)]));
    let file = Source { path: "conductor/src/b/x.rs".into(), text: "use crate::c::X;\nuse crate::a::Y;\n".into() };
    assert_eq!(of_file(&file, &table, &["a", "b", "c"]).len(), 1, "same floor is refused, a lower one is not");
}
