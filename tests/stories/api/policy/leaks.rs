//! No list, however it is filtered, sorted and paged, tells a project about nodes that are not its own.

use super::persona::Guarded;
use serde_json::{Value, json};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// A node with all that can give it away.
struct Known {
    node: String,
    marks: Vec<String>,
    projects: [Option<&'static str>; 2],
}

async fn population(guarded: &Guarded) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    let owners = [Some("a"), Some("b"), None];
    for (number, (owner, lessee)) in
        owners.iter().flat_map(|owner| owners.iter().map(move |lessee| (*owner, *lessee))).enumerate()
    {
        for twin in 0..2 {
            let name = format!("machine-{number}-{twin}");
            let (shard, class) = (format!("shard-{number}"), format!("class-{number}"));
            let node = guarded
                .node(json!({"name": name, "owner": owner, "lessee": lessee, "shard": shard, "resource_class": class,
                    "description": format!("about {name}")}))
                .await;
            let address = format!("52:54:00:00:{number:02x}:{twin:02x}");
            let port = guarded.port(&node, &address).await;
            known.push(Known {
                marks: vec![node.clone(), name, shard, class, port, address],
                node,
                projects: [owner, lessee],
            });
        }
    }
    known
}

fn query(dice: &mut Dice, known: &[Known]) -> String {
    let someone = &known[dice.roll(known.len())];
    let other = &known[dice.roll(known.len())];
    let path =
        dice.pick(&["/v1/nodes", "/v1/nodes/detail", "/v1/ports", "/v1/ports/detail", "sub", "children", "shards"]);
    let path = match path {
        "sub" => format!("/v1/nodes/{}/ports", someone.node),
        "children" => format!("/v1/nodes/{}/children", someone.node),
        "shards" => "/v1/shards".to_owned(),
        path => path.to_owned(),
    };
    let mut words = Vec::new();
    for _ in 0..dice.roll(4) {
        let word = match path.as_str() {
            "/v1/nodes" | "/v1/nodes/detail" => match dice.roll(13) {
                0 => "owner=b".to_owned(),
                1 => "lessee=b".to_owned(),
                2 => "project=b".to_owned(),
                3 => format!("shard={},{}", someone.marks[2], other.marks[2]),
                4 => format!("resource_class={}", someone.marks[3]),
                5 => format!("description_contains={}", &someone.marks[1][..9]),
                6 => format!("parent_node={}", someone.node),
                7 => "include_children=true".to_owned(),
                8 => format!("marker={}", someone.node),
                9 => format!("limit={}", 1 + dice.roll(4)),
                10 => format!("sort_key={}", dice.pick(&["name", "uuid", "owner", "shard", "created_at"])),
                11 => "sort_dir=desc".to_owned(),
                _ => "driver=fake-hardware".to_owned(),
            },
            "/v1/ports" | "/v1/ports/detail" => match dice.roll(6) {
                0 => format!("node={}", someone.marks[1]),
                1 => format!("address={}", someone.marks[5]),
                2 => format!("shard={}", someone.marks[2]),
                3 => format!("marker={}", someone.marks[4]),
                4 => format!("limit={}", 1 + dice.roll(4)),
                _ => "sort_key=address".to_owned(),
            },
            _ => continue,
        };
        words.push(word);
    }
    format!("{path}?{}", words.join("&"))
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|item| strings(item, found)),
        Value::Object(map) => map.values().for_each(|item| strings(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn lists_show_a_project_its_own_and_nothing_else() {
    let guarded = Guarded::start().await;
    let known = population(&guarded).await;
    let mut dice = Dice(0x5eed_0bad_cafe_f00d);
    let (mut shown, mut refused) = (0, 0);
    for _ in 0..600 {
        let url = query(&mut dice, &known);
        let reply = guarded.with(json!({"roles": ["reader"], "project_id": "a"}), "GET", &url, None).await;
        assert!(reply.status < 500, "{url}: {reply:?}");
        let mut texts = Vec::new();
        strings(&reply.body, &mut texts);
        for hidden in known.iter().filter(|known| !known.projects.contains(&Some("a"))) {
            for mark in hidden.marks.iter().filter(|mark| !url.contains(*mark)) {
                assert!(!texts.iter().any(|text| text.contains(mark.as_str())), "{url} shows {mark}: {reply:?}");
            }
            // What the question itself names may be repeated in a refusal, but never in an answer.
            if reply.status == 200 {
                let named = texts.iter().any(|text| hidden.marks.iter().any(|mark| text == mark));
                assert!(!named, "{url}: {reply:?}");
            }
        }
        if reply.status == 200 { shown += 1 } else { refused += 1 }
    }
    assert!(shown > 150 && refused > 20, "both happen: {shown} {refused}");
    let all = guarded.with(json!({"roles": ["reader"], "project_id": "a"}), "GET", "/v1/nodes", None).await.expect(200);
    let mine = known.iter().filter(|known| known.projects.contains(&Some("a"))).count();
    assert_eq!(all.body["nodes"].as_array().unwrap().len(), mine, "and nothing of its own is missing");
}

#[tokio::test]
async fn what_is_hidden_and_what_does_not_exist_are_answered_alike() {
    let guarded = Guarded::start().await;
    let node = guarded.node(json!({"owner": "b", "name": "theirs"})).await;
    let port = guarded.port(&node, "52:54:00:00:00:01").await;
    let nothing = "00000000-0000-4000-8000-000000000000";
    for (hidden, missing) in [
        (format!("/v1/nodes/{node}"), format!("/v1/nodes/{nothing}")),
        ("/v1/nodes/theirs/states".into(), "/v1/nodes/nobodys/states".to_owned()),
        (format!("/v1/ports/{port}"), format!("/v1/ports/{nothing}")),
        (format!("/v1/nodes?marker={node}"), format!("/v1/nodes?marker={nothing}")),
        (format!("/v1/ports?marker={port}"), format!("/v1/ports?marker={nothing}")),
        (format!("/v1/ports?node={node}"), format!("/v1/ports?node={nothing}")),
        ("/v1/nodes?parent_node=theirs".into(), "/v1/nodes?parent_node=nobodys".to_owned()),
        (format!("/v1/nodes/validate?node={node}"), format!("/v1/nodes/validate?node={nothing}")),
    ] {
        let ask = async |path: &str| {
            let reply = guarded.with(json!({"roles": ["admin"], "project_id": "a"}), "GET", path, None).await;
            let text = reply.body.to_string();
            let same =
                [&node, &port, "theirs", "nobodys", nothing].iter().fold(text, |text, name| text.replace(name, "X"));
            (reply.status, same)
        };
        assert_eq!(ask(&hidden).await, ask(&missing).await, "{hidden}");
    }
}
