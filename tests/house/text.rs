//! What every file keeps to: a purpose in its first line, a length one can read, and words that are not used here.

use super::sources::{CRATES, Source, complain, sources};

/// Lines of a file without its unit tests.
const LONGEST: usize = 400;
/// Files that are one long table.
const TABLES: &[&str] = &["conductor/src/model/fsm.rs", "conductor/src/config/options.rs"];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "manager", "misc"];
/// Shells.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash"];

fn everywhere(rule: &str, find: impl Fn(&Source) -> Vec<String>) {
    let complaints: Vec<String> =
        CRATES.iter().flat_map(|krate| sources(krate)).flat_map(|source| find(&source)).collect();
    complain(rule, &complaints);
}

fn lines(file: &Source, is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let bad = file.code().filter(|(_, line)| is_bad(line));
    bad.map(|(at, line)| format!("{}:{at}: {}", file.path, line.trim())).collect()
}

/// `word` stands alone in `line`.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|char: char| !char.is_alphanumeric() && char != '_').any(|part| part == word)
}

#[test]
fn the_first_line_says_what_the_file_is_for() {
    everywhere("The first line of a file is `//! what this room is for`:", |file| {
        let first = file.text.lines().next().unwrap_or_default();
        let says = first.strip_prefix("//! ").is_some_and(|text| text.len() > 10);
        if says { Vec::new() } else { vec![file.path.clone()] }
    });
}

#[test]
fn files_are_short() {
    everywhere("A file has at most 400 lines before its unit tests; split it, or name it as a table:", |file| {
        let long = file.without_tests();
        let fine = long <= LONGEST || TABLES.contains(&file.path.as_str());
        if fine { Vec::new() } else { vec![format!("{}: {long}", file.path)] }
    });
}

#[test]
fn unsafe_is_in_one_room() {
    everywhere("`unsafe` is used in agent/src/sys only:", |file| {
        if file.path.starts_with("agent/src/sys/") { Vec::new() } else { lines(file, |line| has_word(line, "unsafe")) }
    });
}

#[test]
fn nothing_is_left_for_later() {
    let left = ["todo!(", "unimplemented!(", "dbg!("];
    everywhere("No todo!, unimplemented!, dbg!:", |file| {
        lines(file, |line| left.iter().any(|word| line.contains(word)))
    });
}

#[test]
fn every_name_can_be_traced() {
    everywhere("Import by name; `*` only from `super` in unit tests:", |file| {
        lines(file, |line| {
            let line = line.trim();
            line.starts_with("use ") && line.ends_with("::*;") && line != "use super::*;"
        })
    });
}

#[test]
fn exceptions_from_lints_have_a_reason() {
    everywhere("An `allow` or `expect` of a lint says why (`reason = \"…\"`):", |file| {
        let exception = |line: &str| line.contains("[allow(") || line.contains("[expect(");
        let texts: Vec<&str> = file.text.lines().collect();
        let said = |at: usize| texts[at - 1..texts.len().min(at + 4)].iter().any(|line| line.contains("reason ="));
        let bad = file.code().filter(|(at, line)| exception(line) && !said(*at));
        bad.map(|(at, line)| format!("{}:{at}: {}", file.path, line.trim())).collect()
    });
}

#[test]
fn no_shell_is_ever_run() {
    everywhere("Programs are run by argument list, never through a shell:", |file| {
        let calls = |line: &str| {
            SHELLS.iter().any(|shell| {
                [format!("new(\"{shell}\")"), format!("new(\"/bin/{shell}\")"), format!("new(\"/usr/bin/{shell}\")")]
                    .iter()
                    .any(|call| line.contains(call))
            })
        };
        let bad = file.text.lines().enumerate().filter(|(_, line)| calls(line));
        bad.filter(|_| file.path != "tests/house/text.rs").map(|(at, _)| format!("{}:{}", file.path, at + 1)).collect()
    });
}

#[test]
fn names_say_what_is_inside() {
    everywhere("No `util`, `helper`, `manager`:", |file| {
        let empty = file.path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part));
        if empty { vec![file.path.clone()] } else { Vec::new() }
    });
}
