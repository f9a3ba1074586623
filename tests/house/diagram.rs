//! The state diagram in `docs/architecture.md` is printed from the transition table and compared.
//!
//! `UPDATE_GOLDEN=1 cargo test -p tests --test house` writes it anew.

use super::printed::stands_in;
use conductor::model::fsm::{Event, State, TABLE};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Mermaid takes no space in the name of a state.
fn id(state: State) -> String {
    state.name().replace(' ', "_")
}

fn printed() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    direction LR\n    [*] --> enroll\n");
    for state in State::ALL.iter().filter(|state| state.name().contains(' ')) {
        let _ = writeln!(text, "    state \"{state}\" as {}", id(*state));
    }
    // One arrow for all events between the same two states.
    let mut arrows: BTreeMap<(usize, usize), Vec<Event>> = BTreeMap::new();
    let at = |state: State| State::ALL.iter().position(|other| *other == state).unwrap_or_default();
    for (from, event, to) in TABLE {
        arrows.entry((at(*from), at(*to))).or_default().push(*event);
    }
    for ((from, to), events) in arrows {
        let events: Vec<&str> = events.iter().map(|event| event.name()).collect();
        let _ = writeln!(text, "    {} --> {}: {}", id(State::ALL[from]), id(State::ALL[to]), events.join(", "));
    }
    text.push_str("```\n");
    let _ = write!(text, "\n{} states, {} moves.\n", State::ALL.len(), TABLE.len());
    text
}

#[test]
fn the_map_shows_the_table() {
    stands_in("docs/architecture.md", "conductor::model::fsm::TABLE", &printed());
}
