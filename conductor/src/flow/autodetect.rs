//! Deploy interface `autodetect`: what a deployment of the node would use, decided by its instance_info (rest-api sections 17.5, 17.6).

use crate::flow::conductor::Conductor;
use crate::flow::image;
use crate::model::node::{InterfaceKind, Node};
use crate::rules::value::truthy;
use serde_json::{Value, json};

/// Its name.
pub const AUTODETECT: &str = "autodetect";
/// Where the name waits while another interface does the work, in driver_internal_info.
pub const ORIGINAL: &str = "original_deploy_interface";

/// The deploy interface that works for this node now: its own, or the one that `autodetect` would choose.
pub fn resolved<'a>(conductor: &'a Conductor, node: &'a Node) -> &'a str {
    match node.interface(InterfaceKind::Deploy) {
        AUTODETECT => choice(&conductor.config.top.autodetect_deploy_interfaces, node),
        own => own,
    }
}

/// The first that fits, else the last.
fn choice<'a>(candidates: &'a [String], node: &Node) -> &'a str {
    let found = candidates.iter().find(|name| fits(name, node)).or(candidates.last());
    found.map_or("direct", String::as_str)
}

fn fits(interface: &str, node: &Node) -> bool {
    let text = |key| node.instance_info.text(key).is_some_and(|text| !text.trim().is_empty());
    match interface {
        // Images of partitions name a kernel and a ramdisk, too: who wants the instance in memory says so.
        "ramdisk" => {
            let wanted = node.instance_info.get("ironic_ramdisk_deploy").is_some_and(truthy);
            wanted && (text("boot_iso") || (text("kernel") && text("ramdisk")))
        }
        "bootc" => image::container(node).is_ok(),
        "ansible" => node.driver_info.map().keys().any(|key| key.starts_with("ansible_")),
        _ => true,
    }
}

/// Puts the chosen interface into the node's record, and remembers `autodetect`. A node that comes back with another image
/// (rebuild, or a deployment after a failed one) chooses anew.
pub fn switch(conductor: &Conductor, node: &mut Node) {
    restore(node);
    let chosen = resolved(conductor, node).to_owned();
    if chosen != node.interface(InterfaceKind::Deploy) {
        tracing::info!(node = %node.uuid, %chosen, "autodetect chose the deploy interface");
        node.driver_internal_info.insert(ORIGINAL.into(), json!(AUTODETECT));
        node.interfaces.insert(InterfaceKind::Deploy, chosen);
    }
}

/// `autodetect` again, when it was replaced.
pub fn restore(node: &mut Node) {
    if let Some(Value::String(original)) = node.driver_internal_info.remove(ORIGINAL) {
        node.interfaces.insert(InterfaceKind::Deploy, original);
    }
}

#[cfg(test)]
mod tests {
    use super::{AUTODETECT, InterfaceKind, Node, ORIGINAL, choice, json, restore};

    fn node(info: serde_json::Value) -> Node {
        Node { instance_info: info.as_object().unwrap().clone().into(), ..Node::default() }
    }

    #[test]
    fn the_first_interface_that_fits_is_chosen_else_the_last() {
        let names = |words: &str| words.split(' ').map(String::from).collect::<Vec<_>>();
        let usual = names("ramdisk bootc direct");
        for (info, chosen) in [
            (json!({"image_source": "http://h/i.qcow2"}), "direct"),
            (json!({}), "direct"),
            (json!({"image_source": "oci://quay.example/os:9"}), "bootc"),
            (json!({"image_source": "http://h/i", "kernel": "http://h/k", "ramdisk": "http://h/r"}), "direct"),
            (json!({"kernel": "http://h/k", "ramdisk": "http://h/r", "ironic_ramdisk_deploy": true}), "ramdisk"),
            (json!({"boot_iso": "http://h/i.iso", "ironic_ramdisk_deploy": "True"}), "ramdisk"),
            (json!({"boot_iso": "http://h/i.iso", "ironic_ramdisk_deploy": false}), "direct"),
            (json!({"ironic_ramdisk_deploy": true, "kernel": "http://h/k"}), "direct"),
        ] {
            assert_eq!(choice(&usual, &node(info.clone())), chosen, "{info}");
        }
        assert_eq!(choice(&names("ramdisk bootc"), &node(json!({}))), "bootc", "nothing fits");
        assert_eq!(choice(&names("ansible custom-agent"), &node(json!({}))), "custom-agent");
    }

    #[test]
    fn it_comes_back_once() {
        let mut node = node(json!({}));
        node.interfaces.insert(InterfaceKind::Deploy, "direct".into());
        restore(&mut node);
        assert_eq!(node.interface(InterfaceKind::Deploy), "direct", "nobody switched it");
        node.driver_internal_info.insert(ORIGINAL.into(), json!(AUTODETECT));
        restore(&mut node);
        assert_eq!(node.interface(InterfaceKind::Deploy), AUTODETECT);
        assert!(node.driver_internal_info.is_empty());
    }
}
