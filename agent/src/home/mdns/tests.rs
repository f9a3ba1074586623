//! Look-ups in a network of the test's own: a responder of ours, the one that Ironic uses, and hostile messages.

use super::message::{Answers, query};
use super::{API, MdnsError, endpoint, find};
use crate::sys::test_network::in_own_network;
use proptest::prelude::{any, prop, proptest};
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};

/// A message being written, without compression but where asked for.
struct Message(Vec<u8>, u16);

impl Message {
    fn new() -> Message {
        Message(vec![0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0)
    }

    fn name(&mut self, name: &str) {
        for label in name.split('.') {
            self.0.push(label.len() as u8);
            self.0.extend(label.as_bytes());
        }
        self.0.push(0);
    }

    fn record(mut self, owner: &str, kind: u16, data: &[u8]) -> Message {
        self.name(owner);
        self.0.extend(kind.to_be_bytes());
        self.0.extend([0x80, 1, 0, 0, 0, 120]);
        self.0.extend((data.len() as u16).to_be_bytes());
        self.0.extend(data);
        self.1 += 1;
        self.0[6..8].copy_from_slice(&self.1.to_be_bytes());
        self
    }

    fn srv(self, target: &str, port: u16) -> Message {
        let mut data = Message(vec![0, 0, 0, 0], 0);
        data.0.extend(port.to_be_bytes());
        data.name(target);
        self.record(API, 33, &data.0)
    }

    fn txt(self, pairs: &[&str]) -> Message {
        let data: Vec<u8> = pairs.iter().flat_map(|pair| [&[pair.len() as u8], pair.as_bytes()].concat()).collect();
        self.record(API, 16, &data)
    }
}

fn url(message: Message) -> Result<String, MdnsError> {
    let mut answers = Answers::new(API);
    answers.read(&message.0);
    endpoint(API, &answers).map(|found| found.url)
}

#[test]
fn an_answer_becomes_a_url_and_options() {
    let whole = Message::new()
        .srv("conductor.local", 6385)
        .txt(&["protocol=http", "path=/baremetal/", "ipa_ntp_server=192.0.2.9", "IPA_DEBUG=1", "other=x", "flag"])
        .record("conductor.local", 28, &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        .record("someone-else.local", 1, &[192, 0, 2, 99])
        .record("conductor.local", 1, &[127, 0, 0, 1])
        .record("conductor.local", 1, &[192, 0, 2, 7]);
    let mut answers = Answers::new(API);
    answers.read(&whole.0);
    let found = endpoint(API, &answers).unwrap();
    assert_eq!(found.url, "http://192.0.2.7:6385/baremetal");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(found.options, [pair("ntp_server", "192.0.2.9"), pair("debug", "1")]);
    assert_eq!(
        url(Message::new().srv("api.example", 443)).unwrap(),
        "https://api.example:443".trim_end_matches(":443")
    );
    assert_eq!(url(Message::new().srv("api.example", 80)).unwrap(), "http://api.example");
    let v6 = Message::new().srv("c.local", 6385).record(
        "c.local",
        28,
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    );
    assert_eq!(url(v6).unwrap(), "https://[2001:db8::1]:6385");
    assert!(url(Message::new().srv("c.local", 6385)).is_err(), "no address");
    assert!(url(Message::new().srv("c.local", 6385).record("c.local", 1, &[127, 0, 0, 1])).is_err());
    assert!(url(Message::new().txt(&["protocol=http"])).is_err());
    assert!(url(Message::new().srv("evil/../x y", 1)).is_err(), "not a host name");
}

#[test]
fn pointers_lead_backwards_or_nowhere() {
    let mut answers = Answers::new(API);
    let whole = Message::new().srv("c.local", 6385).record("c.local", 1, &[192, 0, 2, 1]).0;
    for at in 12..whole.len() {
        let mut looped = whole.clone();
        looped[at] = 0xc0;
        answers.read(&looped);
        answers.read(&whole[..at]);
    }
    let mut compressed = Message::new().srv("c.local", 6385);
    let service_at = 12u16;
    compressed.0.extend((0xc000 | service_at).to_be_bytes());
    compressed.0.extend([0, 16, 0, 1, 0, 0, 0, 9, 0, 5, 4, b'a', b'=', b'b', b'c']);
    compressed.0[6..8].copy_from_slice(&[0, 2]);
    let mut answers = Answers::new(API);
    answers.read(&compressed.0);
    assert_eq!(answers.texts(), [("a".to_owned(), "bc".to_owned())]);
    let mut question = query(API, 7);
    question[2] = 0;
    let mut answers = Answers::new(API);
    answers.read(&question);
    assert!(!answers.has_service(), "a question is no answer");
}

#[test]
fn somebody_on_the_cable_is_found_and_nobody_is_told() {
    in_own_network(|network| {
        network.pair("nic0", "other");
        network.up("nic0", "192.0.2.1/24");
        network.up("other", "");
        // Multicast comes back to the same machine, so the responder may sit on the same address.
        let responder = UdpSocket::bind("0.0.0.0:5353").unwrap();
        responder.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &Ipv4Addr::new(192, 0, 2, 1)).unwrap();
        let found = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut packet = [0u8; 1500];
                let (length, from) = responder.recv_from(&mut packet).unwrap();
                assert_eq!(packet[2..length], query(API, 0)[2..]);
                let answer =
                    Message::new().srv("c.local", 6385).txt(&["protocol=http"]).record("c.local", 1, &[192, 0, 2, 5]);
                responder.send_to(&[0xff; 40], from).unwrap();
                responder.send_to(&answer.0, from).unwrap();
            });
            find(API, 2, &[])
        });
        assert_eq!(found.unwrap().url, "http://192.0.2.5:6385");
        drop(responder);
        let error = find(API, 1, &["192.0.2.1".parse().unwrap()]).unwrap_err();
        assert!(matches!(error, MdnsError::Silence { attempts: 1, .. }), "{error}");
        assert!(matches!(find(API, 1, &["198.51.100.1".parse().unwrap()]), Err(MdnsError::NoSocket(_))));
    });
}

#[test]
fn the_responder_that_ironic_uses_is_found() {
    let python =
        std::env::var("PEERS_VENV").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/peers").into());
    let python = format!("{python}/bin/python");
    if !std::path::Path::new(&python).exists() {
        return println!("skipped: no reference at {python}");
    }
    in_own_network(|network| {
        network.pair("nic0", "other");
        network.up("nic0", "192.0.2.1/24");
        network.up("other", "");
        let code = "import socket, sys, zeroconf\n\
            z = zeroconf.Zeroconf(interfaces=['192.0.2.1'])\n\
            n = 'baremetal._openstack._tcp.local.'\n\
            z.register_service(zeroconf.ServiceInfo(n, n, addresses=[socket.inet_aton('192.0.2.1')], port=6385,\n\
                properties={'protocol': 'http', 'path': '/', 'ipa_ntp_server': '192.0.2.1'}, server='conductor.local.'))\n\
            print('ready', flush=True)\nsys.stdin.read()\n";
        let mut child =
            Command::new(&python).args(["-c", code]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut word = [0u8; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        let found = find(API, 3, &[]);
        drop(child.stdin.take());
        child.kill().unwrap();
        child.wait().unwrap();
        let found = found.unwrap();
        assert_eq!(found.url, "http://192.0.2.1:6385");
        assert_eq!(found.options, [("ntp_server".to_owned(), "192.0.2.1".to_owned())]);
    });
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), value: u8) {
        let mut answers = Answers::new(API);
        answers.read(&bytes);
        let mut whole = Message::new().srv("c.local", 6385).txt(&["a=b"]).record("c.local", 1, &[192, 0, 2, 1]).0;
        let at = at.index(whole.len());
        whole[at] = value;
        answers.read(&whole);
        let _ = endpoint(API, &answers);
    }
}
