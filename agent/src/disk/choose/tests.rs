//! The choice of disks, by stories.

use super::{is_awaited, is_kept, kept, kept_volumes, root};
use crate::disk::error::DiskError;
use crate::disk::facts::{Disk, Partition};
use common::root_hint::DiskFacts;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const GIB: u64 = 1 << 30;

fn disk(name: &str, size: u64) -> Disk {
    Disk {
        kernel_name: name.into(),
        path: format!("/dev/{name}").into(),
        facts: DiskFacts {
            name: format!("/dev/{name}"),
            size,
            serials: vec![format!("serial-{name}")],
            model: Some("QEMU HARDDISK".into()),
            ..Default::default()
        },
        relatives: BTreeSet::from([name.to_string()]),
        ..Default::default()
    }
}

fn node(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn chosen(disks: &[Disk], record: Value) -> String {
    root(disks, &node(record)).map_or_else(|error| error.to_string(), |disk| disk.kernel_name.clone())
}

#[test]
fn without_hints_the_smallest_of_four_gib_or_more_wins_and_names_break_ties() {
    let disks = [disk("sdc", 10 * GIB), disk("sda", 4 * GIB - 1), disk("sdb", 10 * GIB), disk("sdd", 500 * GIB)];
    assert_eq!(chosen(&disks, json!({})), "sdb");
    assert_eq!(
        chosen(&disks, json!({"properties": {"root_device": null}, "instance_info": {"root_device": {}}})),
        "sdb"
    );
    let exact = [disk("sda", 4 * GIB)];
    assert_eq!(chosen(&exact, json!({})), "sda");
    let mut protected = [disk("sda", 8 * GIB), disk("sdb", 16 * GIB)];
    protected[0].read_only = true;
    assert_eq!(chosen(&protected, json!({})), "sdb", "a read-only disk cannot take a system");
}

#[test]
fn a_volume_made_for_the_system_comes_before_hints_and_members_are_never_chosen() {
    let array = |name: &str, volume: &str, root| Disk {
        is_array: true,
        root_volume: root,
        volumes: vec![volume.into()],
        ..disk(name, GIB)
    };
    let member = |name: &str| Disk { raid_member: true, ..disk(name, 8 * GIB) };
    let hinted = json!({"properties": {"root_device": {"name": "/dev/sdb"}}});
    let disks = [
        member("sda"),
        member("sdb"),
        disk("sdc", 900 * GIB),
        array("md0", "data", None),
        array("md1", "root", Some(true)),
    ];
    assert_eq!(chosen(&disks, hinted.clone()), "md1");
    let record =
        |root: bool| json!({"raid_config": {"logical_disks": [{"volume_name": "data", "is_root_volume": root}]}});
    let later = &disks[..4];
    assert_eq!(chosen(later, record(true)), "md0", "the node's record knows it in a later boot, whatever its size");
    assert!(chosen(later, hinted).contains("/dev/sdb (member of an array)"));
    assert_eq!(chosen(later, json!({})), "sdc");
    let mut both = record(true);
    both["properties"] = json!({"root_device": {"name": "/dev/sdc"}});
    assert_eq!(chosen(later, both), "sdc", "a hint of now counts before the record of then");
    let not = [
        disk("sdc", 900 * GIB),
        Disk { facts: DiskFacts { size: 9 * GIB, ..Default::default() }, ..array("md0", "data", Some(false)) },
    ];
    assert_eq!(chosen(&not, json!({})), "sdc");
    let kept = json!({"properties": {"skip_block_devices": [{"volume_name": "root"}]}});
    assert_eq!(chosen(&disks, kept), "sdc", "a volume on the skip list is not written, root or not");
}

#[test]
fn hints_of_the_instance_come_before_those_of_the_node() {
    let disks = [disk("sda", 10 * GIB), disk("sdb", 20 * GIB)];
    let of_node = json!({"properties": {"root_device": {"serial": "serial-sdb"}}});
    assert_eq!(chosen(&disks, of_node), "sdb");
    let both = json!({"properties": {"root_device": {"serial": "serial-sdb"}}, "instance_info": {"root_device": {"name": "/dev/sda"}}});
    assert_eq!(chosen(&disks, both), "sda");
}

#[test]
fn the_first_match_in_order_wins_whatever_its_size() {
    let disks = [disk("sdb", GIB), disk("sda", 10 * GIB)];
    assert_eq!(chosen(&disks, json!({"properties": {"root_device": {"model": "qemu harddisk"}}})), "sdb");
}

#[test]
fn when_no_disk_fits_the_error_lists_every_disk_and_why_not() {
    let disks = [disk("sda", 10 * GIB), disk("sdb", 20 * GIB), disk("sdc", 30 * GIB)];
    let record = json!({"properties": {"root_device": {"size": "> 15", "serial": "other"},
        "skip_block_devices": [{"name": "/dev/sdc"}]}});
    let error = root(&disks, &node(record)).unwrap_err();
    assert!(matches!(error, DiskError::NotFound(_)));
    let text = error.to_string();
    for part in [
        "/dev/sda (size is 10.00 GiB, wanted `> 15`)",
        "/dev/sdb (serial is `serial-sdb`, wanted `other`)",
        "/dev/sdc (on the skip list)",
        "Correct root_device",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(chosen(&[], json!({})).contains("no disks at all"));
    assert!(chosen(&[disk("sda", GIB)], json!({})).contains("less than 4 GiB"));
}

#[test]
fn unusable_hints_choose_nothing() {
    let disks = [disk("sda", 10 * GIB)];
    for hints in [json!({"colour": "red"}), json!({"model": ">= 5"}), json!("sda"), json!({"size": "big"})] {
        let error = root(&disks, &node(json!({"properties": {"root_device": hints}}))).unwrap_err();
        assert!(matches!(error, DiskError::NotFound(_)), "{error}");
    }
}

#[test]
fn a_skip_list_keeps_all_that_shares_data() {
    let mut disks = [disk("sda", 10 * GIB), disk("sdb", 10 * GIB), disk("sdc", 10 * GIB), disk("md0", 9 * GIB)];
    let family: BTreeSet<String> = ["sda", "sda1", "sdb", "sdb1", "md0"].map(String::from).into();
    for at in [0, 1, 3] {
        disks[at].relatives = family.clone();
    }
    disks[3].volumes = vec!["root".into()];
    disks[2].partitions = vec![Partition { path: "/dev/sdc1".into(), size: GIB, ..Default::default() }];
    disks[2].relatives.insert("sdc1".into());
    let kept_by = |list: Value| {
        let kept = kept(&disks, &node(json!({"properties": {"skip_block_devices": list}}))).unwrap();
        disks.iter().filter(|disk| is_kept(disk, &kept)).map(|disk| disk.kernel_name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(kept_by(json!([{"serial": "serial-sda"}])), ["sda", "sdb", "md0"], "the array is on the kept disk");
    assert_eq!(kept_by(json!([{"volume_name": "root"}])), ["sda", "sdb", "md0"]);
    assert_eq!(kept_by(json!([{"name": "/dev/sdc1"}])), ["sdc"], "a kept partition keeps its disk");
    assert_eq!(kept_by(json!([{"name": "<or> /dev/sdx1 <or> /dev/sdc1"}])), ["sdc"]);
    for hint in [json!({"size": 1}), json!({"size": "<= 5"}), json!({"serial": "serial-sdc", "size": 1})] {
        assert_eq!(
            kept_by(json!([hint])),
            [""; 0],
            "a small partition must not save its disk from being erased: {hint}"
        );
    }
    let all_but = kept_by(json!([{"name": "s!= /dev/sdc"}]));
    assert!(!all_but.contains(&"sdc"), "/dev/sdc1 is another name, and not meant: {all_but:?}");
    assert_eq!(kept_by(json!([])), [""; 0]);
    assert_eq!(kept_by(json!(null)), [""; 0]);
    assert_eq!(kept_by(json!([{"volume_name": "other"}])), [""; 0]);
    let list = node(json!({"properties": {"skip_block_devices": [{"volume_name": "x"}, {"name": "/dev/sda"}]}}));
    assert_eq!(kept_volumes(&list), BTreeSet::from(["x".to_string()]));
}

#[test]
fn a_skip_list_that_cannot_be_read_stops_everything() {
    let disks = [disk("sda", 10 * GIB)];
    for list in [
        json!("sda"),
        json!([{}]),
        json!(["sda"]),
        json!([{"colour": "x"}]),
        json!([{"volume_name": 5}]),
        json!([{"serial": ">= x"}]),
    ] {
        let record = node(json!({"properties": {"skip_block_devices": list}}));
        assert!(kept(&disks, &record).is_err(), "{record:?}");
        assert!(root(&disks, &record).is_err());
    }
}

proptest! {
    #[test]
    fn the_choice_without_hints_never_depends_on_the_order(sizes in prop::collection::vec(1_u64..20, 0..8), turn in any::<prop::sample::Index>()) {
        let mut disks: Vec<Disk> = sizes.iter().enumerate().map(|(at, size)| disk(&format!("sd{}", (b'a' + at as u8) as char), size * GIB)).collect();
        let before = root(&disks, &Map::new()).ok().map(|disk| disk.kernel_name.clone());
        if !disks.is_empty() {
            let by = turn.index(disks.len());
            disks.rotate_left(by);
        }
        let after = root(&disks, &Map::new()).ok().map(|disk| disk.kernel_name.clone());
        prop_assert_eq!(&before, &after);
        prop_assert_eq!(before.is_some(), sizes.iter().any(|&size| size >= 4));
    }

    #[test]
    fn a_kept_disk_is_never_chosen(size in 4_u64..100, skip in 0_usize..4) {
        let disks: Vec<Disk> = ["sda", "sdb", "sdc", "sdd"].iter().enumerate().map(|(at, name)| disk(name, (size + at as u64) * GIB)).collect();
        let name = disks[skip].facts.name.clone();
        let record = node(json!({"properties": {"skip_block_devices": [{"name": name.clone()}]}}));
        prop_assert!(root(&disks, &record).unwrap().facts.name != name);
    }
}

#[test]
fn only_a_disk_that_usable_hints_mean_is_waited_for() {
    let small = [disk("sda", GIB)];
    let both = [disk("sda", GIB), disk("sdb", 500 * GIB)];
    let hints = |value: Value| node(json!({"properties": {"root_device": value}}));
    let large = hints(json!({"size": ">= 400"}));
    assert!(is_awaited(&small, &large) && !is_awaited(&both, &large));
    assert!(is_awaited(&[], &node(json!({"instance_info": {"root_device": {"serial": "x"}}}))));
    assert!(!is_awaited(&[], &node(json!({}))), "nobody said which");
    assert!(!is_awaited(&small, &hints(json!({"colour": "red"}))), "waiting helps nobody");
}
