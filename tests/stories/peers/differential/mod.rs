//! The same requests go to a real Ironic and to our conductor; what they answer is compared. Each difference that we accept
//! is an entry in a fixture that names a line of `docs/differences.md`; one that is not listed, or listed and gone, fails.

mod clients;
mod compare;
mod exchange;
mod mask;
mod script;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exchange::{Answer, Side};
use script::{Everywhere, Item, Request, Script};
use tests::peers::pair::Pair;
use tests::peers::require_client;
use tests::story::{Stage, story_after};
use tests::workspace;

/// A change of state on a busy machine.
const SOON: Duration = Duration::from_secs(40);

#[test]
fn a_real_ironic_and_ours_answer_alike() {
    story_after(require_client, async |stage: Stage| {
        let pair = Pair::start(&stage.dir).await;
        compare_all(&pair, "fixtures/differential", 1000).await;
    });
}

/// Fake machines take their time, so that their nodes are held: longer than either server waits for a lock.
#[test]
fn what_a_held_node_refuses_is_alike() {
    story_after(require_client, async |stage: Stage| {
        let slow = ("[fake]\npower_delay = 30\n", "[fake]\npower_delay = \"30\"\n", "");
        let pair = Pair::start_with(&stage.dir, slow).await;
        compare_all(&pair, "fixtures/differential/held", 10).await;
    });
}

async fn compare_all(pair: &Pair, folder: &str, least: usize) {
    let sides = [Side::new(&pair.ironic.api.base), Side::new(&pair.ours.api.base)];
    let rows = rows();
    let mut tally = Tally::default();
    for file in fixtures(folder) {
        let mut script = Script::read(&file);
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut told = Telling { sides: sides.clone(), rows: &rows, tally: &mut tally, file: stem };
        told.play(&mut script).await;
        for side in &sides {
            side.sweep().await;
        }
    }
    println!(
        "{} requests, {} identical, {} with listed differences, {} wrong",
        tally.requests,
        tally.identical,
        tally.listed,
        tally.wrong.len()
    );
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    let all = std::env::var_os("DIFFERENTIAL_ONLY").is_none();
    assert!(!all || tally.requests > least, "only {} requests were compared", tally.requests);
}

/// All fixtures of a folder, or those whose names hold `DIFFERENTIAL_ONLY`.
fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let only = std::env::var("DIFFERENTIAL_ONLY").unwrap_or_default();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .filter(|path| path.to_string_lossy().contains(&only))
        .collect();
    files.sort();
    files
}

/// The first cells of the tables in `docs/differences.md`.
fn rows() -> BTreeSet<String> {
    let text = fs::read_to_string(workspace::root().join("docs/differences.md")).expect("the list");
    let lines = text.lines().filter_map(|line| line.strip_prefix("| "));
    lines.filter_map(|line| line.split(" | ").next()).map(|cell| cell.trim().to_owned()).collect()
}

#[derive(Default)]
struct Tally {
    requests: usize,
    identical: usize,
    listed: usize,
    wrong: Vec<String>,
}

/// One fixture on its way.
struct Telling<'a> {
    sides: [Side; 2],
    rows: &'a BTreeSet<String>,
    tally: &'a mut Tally,
    file: String,
}

impl Telling<'_> {
    async fn play(&mut self, script: &mut Script) {
        let mut everywhere = std::mem::take(&mut script.everywhere);
        for item in &script.items {
            match item {
                Item::Request(request) => self.ask(request, &mut everywhere).await,
                Item::Wait { line, path, pointer, value } => self.wait(*line, path, pointer, value).await,
            }
        }
        for rule in &everywhere {
            self.named(rule.line, &rule.row);
            if !rule.used {
                self.blame(
                    rule.line,
                    format!("`everywhere {}` covers nothing any more: take it out", rule.keys.join(", ")),
                );
            }
        }
    }

    async fn ask(&mut self, request: &Request, everywhere: &mut [Everywhere]) {
        let (left, right) = self.sides.split_at_mut(1);
        let (theirs, ours) = tokio::join!(left[0].send(request), right[0].send(request));
        self.tally.requests += 1;
        let found = compare::differences(&theirs, &ours);
        let mut rest: BTreeSet<String> = found.keys().cloned().collect();
        let before = rest.len();
        for rule in everywhere.iter_mut().filter(|rule| rule.fits(request)) {
            let size = rest.len();
            rest.retain(|key| !rule.covers(key));
            rule.used |= rest.len() < size;
        }
        let listed: BTreeSet<String> = request.differs.iter().flat_map(|(keys, _)| keys.iter().cloned()).collect();
        for (_, row) in &request.differs {
            self.named(request.line, row);
        }
        if rest == listed {
            *(if before == 0 { &mut self.tally.identical } else { &mut self.tally.listed }) += 1;
            return;
        }
        let mut text = format!("{}\n      listed: {listed:?}", request.title());
        for key in rest.difference(&listed) {
            text +=
                &format!("\n    differs {key} : ?\n      Ironic:  {}\n      Wrought: {}", found[key].0, found[key].1);
        }
        for key in listed.difference(&rest) {
            text += &format!("\n      no longer different: {key}");
        }
        self.blame(request.line, text);
    }

    /// Until both show `value` at `pointer` of a document, and nobody holds the node.
    async fn wait(&mut self, line: usize, path: &str, pointer: &str, value: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            let mut shown = Vec::new();
            for side in &mut self.sides {
                let Answer { body, .. } = side.get(path).await;
                let now = body.pointer(pointer).map(|now| now.as_str().map_or(now.to_string(), str::to_owned));
                let free = body.get("reservation").is_none_or(serde_json::Value::is_null);
                shown.push((now.unwrap_or_default(), free));
            }
            if shown.iter().all(|(now, free)| now == value && *free) {
                return;
            }
            if Instant::now() > deadline {
                return self.blame(line, format!("{path} {pointer} does not become {value}: {shown:?}"));
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn named(&mut self, line: usize, row: &str) {
        if !self.rows.contains(row) {
            self.blame(line, format!("docs/differences.md has no line that begins with `| {row} |`"));
        }
    }

    fn blame(&mut self, line: usize, text: String) {
        self.tally.wrong.push(format!("{}:{line}: {text}", self.file));
    }
}
