//! The `numa-topology` collector: which memory, cores and network interfaces lie close to each other.

use crate::hardware::cpu::expand;
use crate::sys::sysfs::Roots;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Memory, cores with their threads, and interfaces by memory node (agent-protocol section 14).
///
/// # Errors
/// A node that does not tell its memory or cores: half a picture would be worse than none.
pub fn topology(roots: &Roots) -> Result<Value, String> {
    let nodes: Vec<(u64, String)> = roots
        .entries("/sys/devices/system/node")
        .into_iter()
        .filter_map(|name| Some((name.strip_prefix("node")?.parse().ok()?, format!("/sys/devices/system/node/{name}"))))
        .collect();
    if nodes.is_empty() {
        return Err("this kernel shows no memory nodes (/sys/devices/system/node)".into());
    }
    // A processor that is switched off (`nosmt`) keeps its link in the node, and has no topology.
    let online = roots.text("/sys/devices/system/cpu/online").map(|list| expand(&list));
    let is_online = |thread: &u32| online.as_ref().is_none_or(|online| online.contains(thread));
    let mut memory = Vec::new();
    // By node, core and socket: cores are numbered anew in each socket, and a node can have several.
    let mut cores: BTreeMap<(u64, u64, i64), Vec<u32>> = BTreeMap::new();
    for (number, folder) in &nodes {
        let size = size(roots, folder).ok_or_else(|| format!("memory node {number} does not tell its size"))?;
        memory.push(json!({"numa_node": number, "size_kb": size}));
        for name in roots.entries(folder) {
            let thread = name.strip_prefix("cpu").and_then(|rest| rest.parse().ok());
            let Some(thread) = thread.filter(is_online) else { continue };
            let topology = format!("{folder}/{name}/topology");
            let core = roots.number(format!("{topology}/core_id"));
            let core = core.ok_or_else(|| format!("processor {thread} of memory node {number} tells no core"))?;
            let socket = roots.text(format!("{topology}/physical_package_id")).and_then(|text| text.parse().ok());
            cores.entry((*number, core, socket.unwrap_or(-1))).or_default().push(thread);
        }
    }
    let cores = cores.into_iter().map(|((node, core, _), mut threads)| {
        threads.sort_unstable();
        json!({"cpu": core, "numa_node": node, "thread_siblings": threads})
    });
    let interfaces = roots.entries("/sys/class/net").into_iter().filter_map(|name| {
        let node: i64 = roots.text(format!("/sys/class/net/{name}/device/numa_node"))?.parse().ok()?;
        Some(json!({"name": name, "numa_node": node}))
    });
    Ok(json!({"ram": memory, "cpus": cores.collect::<Vec<_>>(), "nics": interfaces.collect::<Vec<_>>()}))
}

/// KiB.
fn size(roots: &Roots, folder: &str) -> Option<u64> {
    let info = roots.bytes(format!("{folder}/meminfo"), 64 * 1024).ok()??;
    total(&String::from_utf8_lossy(&info))
}

/// All memory of a node, KiB, from its `meminfo`.
pub fn total(info: &str) -> Option<u64> {
    let line = info.lines().find(|line| line.contains("MemTotal"))?;
    line.split_once(':')?.1.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::topology;
    use crate::hardware::tests::oracle;
    use crate::sys::test_tree::TestTree;
    use serde_json::{Value, json};

    fn two_sockets() -> TestTree {
        let tree = TestTree::new();
        for node in 0..2 {
            let folder = format!("sys/devices/system/node/node{node}");
            tree.file(
                &format!("{folder}/meminfo"),
                format!("Node {node} MemTotal:  1560000 kB\nNode {node} MemFree: 1 kB\n"),
            );
            for thread in [node * 2, node * 2 + 1, node * 2 + 8, node * 2 + 9] {
                tree.file(&format!("{folder}/cpu{thread}/topology/core_id"), format!("{}\n", thread % 2));
            }
            tree.file(&format!("{folder}/cpulist"), "0-3\n");
            let nic = tree.interface(
                &format!("eno{node}"),
                node + 2,
                "02:00:00:00:00:01",
                &format!("sys/devices/pci/{node}"),
            );
            tree.file(&format!("{nic}/device/numa_node"), if node == 0 { "0\n" } else { "-1\n" });
        }
        tree.file("sys/devices/system/node/online", "0-1\n");
        tree
    }

    #[test]
    fn two_sockets_with_two_threads_a_core() {
        let tree = two_sockets();
        let seen = topology(&tree.roots()).unwrap();
        assert_eq!(seen["ram"], json!([{"numa_node": 0, "size_kb": 1560000}, {"numa_node": 1, "size_kb": 1560000}]));
        assert_eq!(seen["cpus"][3], json!({"cpu": 1, "numa_node": 1, "thread_siblings": [3, 11]}));
        assert_eq!(seen["nics"], json!([{"name": "eno0", "numa_node": 0}, {"name": "eno1", "numa_node": -1}]));
    }

    #[test]
    fn the_references_functions_see_the_same() {
        let tree = two_sockets();
        let code = "import json, sys, os\n\
            from ironic_python_agent import numa_inspector as n\n\
            root = json.load(sys.stdin)\n\
            base = root + '/sys/devices/system/node/'\n\
            nodes = [base + d for d in sorted(os.listdir(base)) if os.path.isdir(base + d)]\n\
            json.dump({'ram': n.get_nodes_memory_info(nodes), 'cpus': n.get_nodes_cores_info(nodes), 'nics': n.get_nodes_nics_info(root + '/sys/class/net')}, sys.stdout)\n";
        let Some(mut theirs) = oracle(code, &json!(tree.roots().path("/"))) else { return };
        let key = |value: &Value| format!("{}|{}|{}", value["name"], value["numa_node"], value["cpu"]);
        for list in ["ram", "cpus", "nics"] {
            let list = theirs[list].as_array_mut().unwrap();
            list.sort_by_key(key);
            for core in list {
                let Some(threads) = core.get_mut("thread_siblings").and_then(Value::as_array_mut) else { continue };
                threads.sort_by_key(|thread| thread.as_u64());
            }
        }
        assert_eq!(topology(&tree.roots()).unwrap(), theirs);
    }

    #[test]
    fn half_a_picture_is_none() {
        let tree = two_sockets();
        tree.file("sys/devices/system/node/node1/meminfo", "nothing\n");
        assert!(topology(&tree.roots()).unwrap_err().contains("memory node 1"));
        let tree = two_sockets();
        tree.file("sys/devices/system/node/node0/cpu0/topology/core_id", [0xff; 100]);
        assert!(topology(&tree.roots()).unwrap_err().contains("processor 0"));
        assert!(topology(&TestTree::new().roots()).is_err());
    }
}
