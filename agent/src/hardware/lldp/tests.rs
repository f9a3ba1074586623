//! Packets of switches over a virtual cable, the reference's parsers as oracle, and hostile ones.

use super::{Patience, listen, parsed, pieces, vlans};
use crate::hardware::tests::oracle;
use crate::sys::test_network::in_own_network;
use proptest::prelude::{any, prop, proptest};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A packet being written, as IEEE 802.1AB lays it out.
pub struct Packet(Vec<u8>);

impl Packet {
    pub fn new() -> Packet {
        let mut bytes = vec![0x01, 0x80, 0xc2, 0, 0, 0x0e, 0x02, 0, 0, 0, 0, 1];
        bytes.extend(0x88ccu16.to_be_bytes());
        Packet(bytes)
    }

    pub fn piece(mut self, kind: u8, value: &[u8]) -> Packet {
        self.0.extend((u16::from(kind) << 9 | value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self
    }

    /// The three that every packet begins with.
    pub fn begin() -> Packet {
        Packet::new().piece(1, b"\x04\x64\x64\x9b\x32\xf3\x00").piece(2, b"\x05Ethernet1/7").piece(3, &[0, 120])
    }

    pub fn end(self) -> Vec<u8> {
        let mut bytes = self.piece(0, &[]).0;
        bytes.resize(bytes.len().max(60), 0);
        bytes
    }
}

/// What a data centre's switch sends: names, capabilities, two management addresses, VLANs, link facts.
fn switch() -> Vec<u8> {
    Packet::begin()
        .piece(4, b"server rack 7")
        .piece(5, b"leaf-7.example")
        .piece(6, b"Network OS 10.5")
        .piece(7, &[0x00, 0x14, 0x00, 0x14])
        .piece(8, &[5, 1, 192, 0, 2, 7, 2, 0, 0, 0, 7, 0])
        .piece(8, &[&[17, 2, 0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[9, 2, 0, 0, 0, 7, 0]].concat())
        .piece(127, &[0x00, 0x80, 0xc2, 1, 0, 101])
        .piece(127, &[0x00, 0x80, 0xc2, 2, 0b110, 0, 102])
        .piece(127, b"\x00\x80\xc2\x03\x00\x65\x06vlan-a")
        .piece(127, b"\x00\x80\xc2\x03\x0f\xfe\x01b")
        .piece(127, &[0x00, 0x80, 0xc2, 4, 2, 0x88, 0xcc])
        .piece(127, &[0x00, 0x80, 0xc2, 7, 0b11, 0, 0, 1, 2])
        .piece(127, &[0x00, 0x12, 0x0f, 1, 0b11, 0x6c, 0x11, 0, 30])
        .piece(127, &[0x00, 0x12, 0x0f, 4, 0x23, 0x28])
        .piece(127, &[0x00, 0x01, 0x42, 1, 1])
        .end()
}

#[test]
fn a_switchs_packet_in_words() {
    let pieces = pieces(&switch()).unwrap();
    assert_eq!(pieces[0], (1, "0464649b32f300".into()));
    assert_eq!(pieces.last(), Some(&(0, String::new())), "the padding is not part of it");
    let words = Value::from(parsed(&pieces));
    assert_eq!(words["switch_chassis_id"], "64:64:9b:32:f3:00");
    assert_eq!(words["switch_port_id"], "Ethernet1/7");
    assert_eq!(words["switch_capabilities_enabled"], json!(["Bridge", "Router"]));
    assert_eq!(words["switch_mgmt_addresses"], json!(["192.0.2.7", "2001:db8::9"]));
    assert_eq!(words["switch_port_vlans"], json!([{"name": "vlan-a", "id": 101}, {"name": "b", "id": 4094}]));
    assert_eq!(words["switch_port_mau_type"], "1000BASE-T full duplex");
    assert_eq!(vlans(&pieces), [101, 4094]);
}

#[test]
fn captured_packets_of_real_switches_in_words() {
    let frames: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/fixtures/lldp/frames.json")).unwrap();
    for frame in &frames {
        let seen = pieces(&super::bytes(frame["frame"].as_str().unwrap())).unwrap();
        assert_eq!(Value::from(parsed(&seen)), frame["says"], "{}", frame["name"]);
    }
    assert!(frames.len() >= 5);
}

#[test]
fn the_references_parsers_see_the_same() {
    let pieces = pieces(&switch()).unwrap();
    let frame: String = switch().iter().map(|byte| format!("{byte:02x}")).collect();
    let code = "import json, sys, binascii\n\
        from ironic_python_agent import netutils\n\
        from ironic.drivers.modules.inspector import lldp_parsers\n\
        given = json.load(sys.stdin)\n\
        raw = [(t, binascii.hexlify(d).decode()) for t, d in netutils._parse_tlv(binascii.unhexlify(given)[14:])]\n\
        parser = lldp_parsers.LLDPBasicMgmtParser('node')\n\
        [parser.parse_tlv(t, bytearray(binascii.unhexlify(d))) for t, d in raw]\n\
        json.dump([raw, parser.nv_dict], sys.stdout)\n";
    let Some(theirs) = oracle(code, &json!(frame)) else { return };
    assert_eq!(theirs[0].as_array().unwrap()[..pieces.len()], *json!(pieces).as_array().unwrap());
    let mut ours = Value::from(parsed(&pieces));
    // The reference says full duplex where half duplex is offered; ours says what was offered.
    let capabilities = "switch_port_physical_capabilities";
    assert_eq!(ours[capabilities].as_array().unwrap().len(), theirs[1][capabilities].as_array().unwrap().len());
    ours[capabilities] = theirs[1][capabilities].clone();
    assert_eq!(ours, theirs[1]);
}

#[test]
fn what_comes_over_a_cable_is_heard_once_and_only_if_it_is_lldp() {
    in_own_network(|network| {
        for (one, other) in [("nic0", "sw0"), ("nic1", "sw1"), ("nic2", "sw2")] {
            network.pair(one, other);
            network.up(one, "");
            network.up(other, "");
        }
        let send = |name: &str, frame: &[u8]| {
            let socket = crate::sys::packet::FrameSocket::open(name, 0x88cc, &[]).unwrap();
            socket.send(frame).unwrap();
        };
        let names: Vec<String> = ["nic0", "nic1", "nic2", "gone"].map(String::from).to_vec();
        let mut unread = Vec::new();
        let begun = Instant::now();
        let heard = std::thread::scope(|scope| {
            // A thread made here is in the same network.
            scope.spawn(|| {
                for _ in 0..40 {
                    send("sw0", &Packet::new().piece(9, b"nonsense").end());
                    send("sw1", &Packet::begin().piece(5, b"second").end());
                    send("sw0", &switch());
                    std::thread::sleep(Duration::from_millis(25)); // packets come again and again, as a switch sends them
                }
            });
            listen(&names, |name| name != "nic2" && name != "gone", patience(5000), &mut unread)
        });
        assert!(begun.elapsed() < Duration::from_secs(4), "it does not wait where nothing is expected");
        assert_eq!(heard["nic0"], pieces(&switch()).unwrap());
        assert_eq!(parsed(&heard["nic1"])["switch_system_name"], "second");
        assert_eq!((heard["nic2"].len(), heard["gone"].len()), (0, 0));
        assert!(unread.iter().any(|unread| unread.what == "LLDP on gone"), "{unread:?}");

        let begun = Instant::now();
        let nothing = listen(&names[2..3], |_| true, patience(200), &mut Vec::new());
        assert_eq!(nothing["nic2"], []);
        assert!((200..2000).contains(&begun.elapsed().as_millis()), "silence ends the wait: {:?}", begun.elapsed());

        let begun = Instant::now();
        let most = Patience { most: Some(Duration::from_millis(200)), ..patience(60_000) };
        listen(&names[2..3], |_| true, most, &mut Vec::new());
        assert!((200..2000).contains(&begun.elapsed().as_millis()), "who waits is answered: {:?}", begun.elapsed());
    });
}

fn patience(milliseconds: u64) -> Patience {
    Patience { silence: Duration::from_millis(milliseconds), most: None }
}

#[test]
fn hostile_packets_are_passed_over_or_cut() {
    assert_eq!(pieces(&[]), None);
    assert_eq!(pieces(&Packet::new().end()), None, "no chassis");
    assert_eq!(pieces(&Packet::new().piece(1, &[4]).piece(2, &[5]).piece(3, &[0, 1]).end()), None, "empty names");
    let good_bye = Packet::new().piece(1, b"\x07a").piece(2, b"\x07b").piece(3, &[0, 0]).end();
    assert_eq!(pieces(&good_bye), None, "the switch takes its word back");
    let mut cut = switch();
    cut.truncate(60);
    assert!(pieces(&cut).is_some_and(|pieces| parsed(&pieces).contains_key("switch_chassis_id")));
    let mut endless = Packet::begin();
    for _ in 0..700 {
        endless = endless.piece(100, &[]);
    }
    assert_eq!(pieces(&endless.0).unwrap().len(), super::MAX_PIECES);
    let evil = pieces(&Packet::begin().piece(5, b"\x1b[2J\xff\0").end()).unwrap();
    assert_eq!(parsed(&evil)["switch_system_name"], "[2J\u{fffd}");
    let reserved = pieces(&Packet::begin().piece(127, b"\x00\x80\xc2\x03\xff\xff\x00").end()).unwrap();
    assert_eq!(vlans(&reserved), [0u16; 0]);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), kinds in prop::collection::vec((0u8..128, prop::collection::vec(any::<u8>(), 0..20)), 0..12)) {
        let _ = pieces(&bytes);
        let mut packet = Packet::begin();
        for (kind, value) in kinds {
            packet = packet.piece(kind, &value);
        }
        let seen = pieces(&packet.end()).unwrap();
        let _ = (parsed(&seen), vlans(&seen));
    }

    #[test]
    fn known_subtypes_with_any_data_do_not_panic(oui in any::<bool>(), subtype in 0u8..9, data in prop::collection::vec(any::<u8>(), 0..12)) {
        let head = if oui { [0x00, 0x80, 0xc2, subtype] } else { [0x00, 0x12, 0x0f, subtype] };
        let seen = pieces(&Packet::begin().piece(127, &[&head[..], &data].concat()).end()).unwrap();
        let _ = (parsed(&seen), vlans(&seen));
    }
}
