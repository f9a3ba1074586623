//! What the conductor, registries, servers and operators write.

use agent::config::{Config, KernelLine, ini};
use agent::home::answer::fault_text;
use agent::home::mdns::message::Answers;
use agent::home::sntp;
use agent::http::body;
use agent::step::inject_files::template;
use agent::step::provider::container::own;
use agent::step::provider::declared::description;
use agent::stream::checksum::{choose, from_file};
use agent::stream::get::content_range;
use agent::stream::oci::challenge::{Challenge, token};
use agent::stream::oci::manifest::read;
use agent::stream::oci::reference::Reference;
use agent::stream::origin;
use agent::sys::mask::mask_secrets;
use common::command::CommandRequest;
use common::heartbeat::{ApiRoot, LookupReply};
use common::image_ref::ImageInfo;
use common::root_hint::{DiskFacts, RootHints};
use common::step::Step;
use serde_json::{Map, Value};
use std::path::Path;
use url::Url;

/// Lists of digests.
pub fn checksum_file(data: &[u8]) {
    let url = Url::parse("http://images.example/SHA256SUMS").expect("a URL");
    for name in ["image.raw", ""] {
        let _ = from_file(data, &url, name, None, false);
    }
}

/// Addresses, manifests, challenges and tokens of registries.
pub fn oci(data: &[u8]) {
    let _ = (read(data, "x86_64"), token(data));
    let text = String::from_utf8_lossy(data);
    let _ = Challenge::parse(&text);
    if let Ok(reference) = Url::parse(&text).map_err(|_| ()).and_then(|url| Reference::parse(&url).map_err(|_| ())) {
        assert!(reference.address("manifests/x").path().starts_with("/v2/"), "{reference}");
    }
}

/// Heads and bodies of answers that did not go well, and of requests.
pub fn answers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some((first, Some(total))) = content_range(&text) {
        assert!(first < total, "{text}");
    }
    let said = fault_text(data);
    assert!(said.len() <= 4096 && !said.contains('\n'), "{said:?}");
    let _ = body::parse(data);
    // A line of any log: what stands behind a secret's name is gone from it.
    if !text.contains(SECRET) {
        let shown = mask_secrets(&format!("{text}\nagent_token={SECRET} "));
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

/// URLs with places for what is known of a node.
pub fn templates(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (text, node) = text.split_once('\0').unwrap_or((&text, "{}"));
    let node: Map<String, Value> = serde_json::from_str(node).unwrap_or_default();
    let ports = [Value::Object(node.clone())];
    if let Ok(url) = template::fill(text, &node, &ports) {
        assert!(url.len() <= 4096, "{}", url.len());
    }
}

/// A planted secret. libFuzzer learns what bytes are compared with: an input that has the word itself says nothing.
const SECRET: &str = "planted-7f3a91c4e0";

/// What a write_image step carries; commands and steps around it.
pub fn image_info(data: &[u8]) {
    if let Ok(info) = serde_json::from_slice::<ImageInfo>(data) {
        let _ = choose(&info, true);
        info.urls.iter().for_each(|url| drop(origin::parse(url)));
    }
    // Whatever else is in it, a password stays hidden.
    let planted = data.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
    if let Some(mut map) = serde_json::from_slice::<Map<String, Value>>(data).ok().filter(|_| !planted) {
        map.insert("image_server_password".into(), SECRET.into());
        if let Ok(info) = serde_json::from_value::<ImageInfo>(Value::Object(map)) {
            let shown = format!("{info:?}");
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }
    let _ = serde_json::from_slice::<CommandRequest>(data);
    let _ = serde_json::from_slice::<Step>(data);
}

/// Answers of the API.
pub fn lookup(data: &[u8]) {
    let _ = serde_json::from_slice::<LookupReply>(data);
    let _ = serde_json::from_slice::<ApiRoot>(data);
}

/// The kernel's command line, down to the options it sets.
pub fn kernel_line(data: &[u8]) {
    let line = KernelLine::parse(&String::from_utf8_lossy(data));
    let _ = Config::load(&line, None, &[], &[]);
}

/// Configuration files, down to the options they set.
pub fn config_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = ini::parse(&text);
    let text = format!("agent_token = {SECRET}\nimage_server_password = {SECRET}\n{text}");
    let mut once = Config::default();
    if once.read("agent.conf", &text).is_err() {
        return;
    }
    if text.matches(SECRET).count() == 2 {
        let shown = format!("{once:?}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
    let mut twice = once.clone();
    assert!(twice.read("agent.conf", &text).is_ok(), "it was right before");
    twice.complaints.truncate(once.complaints.len());
    assert_eq!(format!("{once:?}"), format!("{twice:?}"), "twice is once");
}

/// Root device hints, against a disk.
pub fn root_hints(data: &[u8]) {
    let Ok(map) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    let Ok(hints) = RootHints::parse(&map) else { return };
    let disk =
        DiskFacts { name: "/dev/sda".into(), size: 1 << 40, model: Some("Model X".into()), ..DiskFacts::default() };
    let _ = hints.matches(&disk);
}

/// What anybody on the network may send to an agent that asks for names or for the time.
pub fn network_names(data: &[u8]) {
    let mut answers = Answers::new("_openstack._tcp.local");
    // Several messages in one: each may add to what the others said.
    data.chunks(512).for_each(|message| answers.read(message));
    let _ = (answers.server(), answers.is_complete());
    assert!(answers.addresses().len() <= 4096 && answers.texts().len() <= 4096, "an answer fills the memory");
    let number = data.get(24..32).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_be_bytes);
    if let Ok((received, sent)) = sntp::read(data, number) {
        assert!(sent >= received);
    }
}

/// Steps that the maker of a ramdisk declared: in TOML, and in the container file's YAML.
pub fn step_files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = description::read(Path::new("steps.toml"), &text);
    if let Ok(steps) = own::read(&text, &["erase_devices"]) {
        assert!(steps.iter().all(|step| !format!("{step:?}").contains("name: \"erase_devices\"")), "a name was taken");
    }
}
