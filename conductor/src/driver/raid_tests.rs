//! Configurations and the sentences that a real Ironic answered to them.

use super::{check, logical_disk_properties};
use serde_json::{Value, json};

fn text(config: Value) -> String {
    check(config.as_object().unwrap()).err().unwrap_or_default()
}

fn disk(more: Value) -> Value {
    let mut disk = json!({"raid_level": "1", "size_gb": 1});
    for (key, value) in more.as_object().unwrap() {
        disk[key] = value.clone();
    }
    json!({"logical_disks": [disk]})
}

#[test]
fn good_ones_pass() {
    for more in [
        json!({}),
        json!({"size_gb": "MAX", "is_root_volume": true, "volume_name": "v", "number_of_physical_disks": 2}),
        json!({"controller": "c", "physical_disks": ["a", "b"]}),
        json!({"controller": "c", "physical_disks": [{"size": "> 100"}, {"size": "> 100"}], "disk_type": "ssd"}),
    ] {
        assert_eq!(text(disk(more.clone())), "", "{more}");
    }
}

#[test]
fn refusals_are_worded_as_the_reference_words_them() {
    let error = "RAID config validation error: ";
    for (config, words) in [
        (json!({"logical_disks": []}), "[] should be non-empty"),
        (json!({"foo": 1}), "'logical_disks' is a required property"),
        (json!({"logical_disks": 5}), "5 is not of type 'array'"),
        (json!({"logical_disks": [5]}), "5 is not of type 'object'"),
        (json!({"logical_disks": [{"raid_level": "1"}]}), "'size_gb' is a required property"),
        (disk(json!({"raid_level": "7"})), "'7' is not one of ['JBOD', '0', '1', '2', '5', '6', '1+0', '5+0', '6+0']"),
        (disk(json!({"raid_level": 1, "disk_type": "x"})), "1 is not of type 'string'"),
        (disk(json!({"size_gb": -1})), "-1 is less than the minimum of 0"),
        (disk(json!({"size_gb": "X"})), "'X' is not one of ['MAX']"),
        (disk(json!({"foo": 1})), "Additional properties are not allowed ('foo' was unexpected)"),
        (disk(json!({"physical_disks": ["a"]})), "'controller' is a dependency of 'physical_disks'"),
        (disk(json!({"number_of_physical_disks": 0})), "0 is less than or equal to the minimum of 0"),
    ] {
        assert_eq!(text(config.clone()), format!("{error}{words}"), "{config}");
    }
    let root = json!({"raid_level": "1", "size_gb": 1, "is_root_volume": true});
    assert_eq!(
        text(json!({"logical_disks": [root.clone(), root]})),
        "Raid config cannot have more than one root volume. 2 root volumes were specified"
    );
}

#[test]
fn every_property_has_a_meaning() {
    let properties = logical_disk_properties();
    assert_eq!(properties.len(), 10);
    assert!(properties["size_gb"].as_str().unwrap().starts_with("Size in GiB (Integer)"));
}
