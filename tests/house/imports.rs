//! What may never know what: the crates among themselves, and `common` of the world.

use super::sources::{complain, root, sources};

/// Crate, and the crates of this workspace that it may depend on.
const MAY_USE: &[(&str, &[&str])] = &[
    ("common", &[]),
    ("conductor", &["common"]),
    ("agent", &["common"]),
    ("image", &[]), // packs the agent as a file
    ("tests", &["common", "conductor", "agent", "image"]),
    ("tests/fuzz", &["common", "agent", "conductor"]),
];

/// `common` holds types: no runtime, client, file, socket, process, environment or clock.
const NOT_IN_COMMON: &[&str] = &[
    "tokio::",
    "reqwest::",
    "hyper::",
    "axum::",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
];
const NOT_A_DEPENDENCY_OF_COMMON: &[&str] = &["tokio", "reqwest", "hyper", "axum", "nix", "rusqlite", "rand"];

/// Names of the tables before `[dev-dependencies]` count; what only tests need may be more.
fn dependencies(krate: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(krate).join("Cargo.toml")).expect("every crate has a Cargo.toml");
    let (_, after) = text.split_once("[dependencies]").expect("every crate has dependencies");
    let own = after.split("\n[").next().unwrap_or(after);
    own.lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(Into::into)
        .collect()
}

#[test]
fn crates_know_only_those_they_may() {
    let mut complaints = Vec::new();
    for (krate, allowed) in MAY_USE {
        let ours = dependencies(krate).into_iter().filter(|name| MAY_USE.iter().any(|(other, _)| other == name));
        complaints.extend(
            ours.filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("{krate} depends on {name}")),
        );
    }
    complain("conductor and agent share only `common`; nobody uses `tests`; `image` links nobody:", &complaints);
}

#[test]
fn common_knows_no_runtime_client_file_or_clock() {
    let mut complaints: Vec<String> = dependencies("common")
        .into_iter()
        .filter(|name| NOT_A_DEPENDENCY_OF_COMMON.contains(&name.as_str()))
        .map(|name| format!("common/Cargo.toml: {name}"))
        .collect();
    for file in sources("common").iter().filter(|file| file.path.starts_with("common/src")) {
        for (at, line) in file.code().take(file.without_tests()) {
            complaints.extend(
                NOT_IN_COMMON
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{at}: {word}", file.path)),
            );
        }
    }
    complain("`common` is types and declarations, no I/O:", &complaints);
}

#[test]
fn sql_stays_in_the_store() {
    let mut complaints = Vec::new();
    for file in sources("conductor").iter().filter(|file| !file.path.starts_with("conductor/src/store/")) {
        complaints.extend(
            file.code().filter(|(_, line)| line.contains("rusqlite")).map(|(at, _)| format!("{}:{at}", file.path)),
        );
    }
    complain("The database is known to `conductor/src/store` alone:", &complaints);
}
