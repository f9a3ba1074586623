//! What a machine's own files and tools say, what another machine says while both burn in, and what people set for burn-in and erase.

use agent::config::container::ContainerRules;
use agent::disk::method;
use agent::hardware::{cpu, numa};
use agent::inventory_command::diff::{differences, inventory_of};
use agent::step::burnin::settings::{Amount, Settings};
use agent::step::burnin::wire::{BLOCK, GREETING, Line, greeted, receive, send};
use agent::step::burnin::{BurnIn, Until};
use agent::step::provider::nvidia::{tools, update};
use agent::sys::progress::Progress;
use common::image_ref::DigestKind;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

/// A partner that said everything before, and is noted down.
#[derive(Clone)]
struct Partner<'a> {
    says: &'a [u8],
    heard: Rc<RefCell<Vec<u8>>>,
}

impl<'a> Partner<'a> {
    fn new(says: &'a [u8]) -> Self {
        Self { says, heard: Rc::default() }
    }
}

impl Read for Partner<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.says.read(room)
    }
}

impl Write for Partner<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line for Partner<'_> {
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The network's burn-in: what a stranger says, and what a cable makes of the right bytes; settings of all burn-ins and of erasing.
pub fn burn_in(data: &[u8]) {
    let progress = Progress::default();
    let (now, open) = (Until::after(Some(Duration::ZERO), &progress), Until::after(None, &progress));
    if greeted(&mut Partner::new(data), &open).is_ok() {
        assert!(data.starts_with(GREETING), "a stranger was greeted");
    }
    // Nothing was sent but the last block: the partner can have counted none.
    let writer = Partner::new(data);
    let counted = send(writer.clone(), 3, &now).is_ok();
    assert!(!counted || data.starts_with(&0_u64.to_le_bytes()), "blocks that were never sent");
    let mut stream = writer.heard.take();
    assert_eq!(stream.len(), BLOCK);
    for change in data.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        stream[place] ^= change[2];
    }
    let right = data.chunks_exact(4).fold(std::collections::BTreeMap::new(), |mut all, change| {
        *all.entry([change[0], change[1]]).or_insert(0) ^= change[2];
        all
    });
    let arrived = receive(Partner::new(&stream), 3, &open);
    assert_eq!(arrived.is_ok(), right.values().all(|change| *change == 0), "{arrived:?}");
    settings(data);
}

fn settings(data: &[u8]) {
    let Ok(node) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    let settings = Settings::of(&node);
    let fine = |error: BurnIn| assert!(error.to_string().chars().count() < 400, "{error}");
    let names = node.get("driver_info").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    for name in names.filter_map(|key| key.strip_prefix("agent_burnin_")) {
        match settings.time(name, 1) {
            Ok(time) => assert!(time <= Duration::from_secs(366 * 86_400)),
            Err(error) => fine(error),
        }
        match settings.amount(name, Amount::Bytes(1)) {
            Ok(Amount::Percent(share)) => assert!(share > 0.0 && share <= 100.0, "{share}"),
            Ok(Amount::Bytes(bytes)) => assert!(bytes > 0),
            Err(error) => fine(error),
        }
        match settings.path(name) {
            Ok(path) => assert!(path.is_none_or(|path| path.is_absolute())),
            Err(error) => fine(error),
        }
        match settings.text(name) {
            Ok(text) => assert!(text.is_none_or(|text| text.len() <= 1024)),
            Err(error) => fine(error),
        }
        settings.number(name, 1).map(drop).unwrap_or_else(fine);
        settings.flag(name).map(drop).unwrap_or_else(fine);
        settings.object(name).map(drop).unwrap_or_else(fine);
    }
    for discard in [false, true] {
        if let Ok(options) = method::Options::of(&node, discard) {
            assert!(options.passes() >= 1, "nothing would be erased");
            assert!(options.iterations <= 1000 && (1..=1000).contains(&options.concurrency), "{options:?}");
        }
    }
    let Some(given) = node.get("agent_containers").and_then(Value::as_object) else { return };
    let mut rules = ContainerRules::default();
    for (key, value) in given {
        let before = rules.clone();
        match rules.set(key, value) {
            Err(_) => assert_eq!(rules, before, "what is refused changes nothing"),
            Ok(()) => {
                let once = rules.clone();
                rules.set(key, value).expect("as before");
                assert_eq!(rules, once, "twice is once");
            }
        }
        let lists = [&rules.allowed_containers, &rules.pull_options, &rules.run_options];
        assert!(lists.iter().all(|list| list.len() <= 256 && list.iter().all(|word| word.len() <= 1024)));
        assert!(rules.steps_file.is_absolute() && ["podman", "docker"].contains(&rules.runner.as_str()));
    }
}

/// What the kernel tells of processors and memory, the maker's tools of adapters, and two inventories that are compared.
pub fn machine_texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(port) = tools::port(&text) {
        let plain = |letter: char| letter.is_ascii_hexdigit() || ".:".contains(letter);
        assert!(port.address.chars().all(plain), "this goes into argument lists: {port:?}");
        assert!(port.adapter().len() < port.address.len());
    }
    let firmware = tools::firmware(&text);
    for version in [&firmware.version, &firmware.running].into_iter().flatten() {
        assert!(version.chars().all(|letter| letter.is_ascii_digit() || letter == '.'), "{version:?}");
    }
    assert!(
        firmware.psid.iter().all(|psid| psid.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'))
    );
    let word = |word: &String| word.split_ascii_whitespace().eq([word.as_str()]);
    assert!(tools::settings(&text).iter().all(|(name, value)| word(name) && word(value)));

    let processors = cpu::expand(&text);
    assert!(processors.len() <= 8192);
    if let Some(name) = cpu::field(&text, &["model name", "flags"]) {
        assert!(!name.is_empty() && !name.contains(char::is_control), "{name:?}");
    }
    let _ = numa::total(&text);

    if let Ok(entry) = serde_json::from_str::<Value>(&text) {
        match update::read(&entry, false) {
            Ok(image) => {
                assert!(["http", "https", "file"].contains(&image.url.scheme()) && image.digest != DigestKind::Md5);
                assert!(!image.psid.is_empty() && !image.version.is_empty() && !image.checksum.is_empty());
            }
            Err(error) => assert!(error.details.chars().count() < 2000, "{}", error.details.len()),
        }
    }

    let Some((saved, found)) = text.split_once('\0') else { return };
    let (Ok(saved), Ok(found)) = (serde_json::from_str::<Value>(saved), serde_json::from_str::<Value>(found)) else {
        return;
    };
    if let Ok(inventory) = inventory_of(saved.clone()) {
        assert_eq!(inventory_of(inventory.clone()).as_ref(), Ok(&inventory), "an inventory is its own");
    }
    assert_eq!(differences(&saved, &saved, true), [], "a document equals itself");
    let (there, back) = (differences(&saved, &found, true), differences(&found, &saved, true));
    assert_eq!(there.is_empty(), back.is_empty());
    assert!(there.len() <= 1000, "{}", there.len());
    assert!(differences(&saved, &found, false).len() <= there.len(), "what passes was told");
    for one in there.iter().map(ToString::to_string) {
        assert!(one.chars().count() < 600 && !one.contains(char::is_control), "{one:?}");
    }
}
