//! What the conductor reads: packets of machines and BMCs, headers and bodies of clients, files and settings of operators.

use common::mac::Mac;
use conductor::api::auth::basic;
use conductor::api::patch::{Change, Op, apply, parse, unmasked};
use conductor::api::version::Version;
use conductor::api::{accept, events};
use conductor::boot::append_params::append_params;
use conductor::boot::dhcp::full::{self, Network};
use conductor::boot::dhcp::lease::LeaseBook;
use conductor::boot::dhcp::pool::Pool;
use conductor::boot::dhcp::proxy;
use conductor::boot::dhcp::reply::{Reply, Server};
use conductor::boot::dhcp::request::Request;
use conductor::boot::http::range::{Wanted, wanted};
use conductor::boot::ipxe::BaseUrl;
use conductor::boot::kernel_args::KernelArgs;
use conductor::driver::ipmi::Suite;
use conductor::driver::ipmi::bridge::{Bridge, Call, Hop};
use conductor::driver::ipmi::command::{boot_setting, manufacturer, power_state};
use conductor::driver::ipmi::handshake::{Exchange, Keys, open_response, rakp_2, rakp_4};
use conductor::driver::ipmi::message::response;
use conductor::driver::ipmi::old_session::{AuthType, OldSession};
use conductor::driver::ipmi::packet::{MAX_PACKET, Packet, decode, encode_old, encode_plus};
use conductor::driver::ipmi::secret::Secret;
use conductor::driver::ipmi::session::{PlusSession, Session};
use conductor::relay::brokers;
use conductor::rules::{built_in, net, pattern};
use serde_json::{Map, Value};
use std::net::Ipv4Addr;

/// Datagrams: DHCP from anybody on the wire, IPMI from whoever answers in a BMC's place.
pub fn packets(data: &[u8]) {
    dhcp(data);
    ipmi(data);
    handshakes(data);
    sealed(data);
}

fn dhcp(data: &[u8]) {
    let Some(request) = Request::read(data) else { return };
    assert!(request.mac.0[0] & 1 == 0 && request.mac.0 != [0; 6], "no NIC: {request:?}");
    let (first, last) = (Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(192, 0, 2, 12));
    let (address, netmask) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(255, 255, 255, 0));
    let server = Server {
        address,
        base: BaseUrl::new("http://192.0.2.1:8080/").expect("a base"),
        uefi_program: "snponly.efi".into(),
    };
    let network =
        Network { netmask, router: Some(address), dns: vec![address; 9], lease_seconds: 600, authoritative: true };
    let mut book = LeaseBook::new(Pool::new(first, last, address, netmask, &[]).expect("a range"));
    // What fits into one frame, and is a whole answer to this very request.
    let fine = |reply: &Reply| {
        assert!((300..=1472).contains(&reply.bytes.len()), "{} bytes", reply.bytes.len());
        assert_eq!((reply.bytes[0], &reply.bytes[4..8]), (2, &request.xid.to_be_bytes()[..]));
        assert_eq!(reply.bytes[28..34], request.mac.0);
    };
    for now in [1000, 1001] {
        full::decide(&server, &network, &mut book, &request, now).reply.iter().for_each(fine);
    }
    for (mac, lease) in book.bound() {
        assert!(mac == request.mac && (first..=last).contains(&lease.address), "{lease:?}");
    }
    proxy::decide(&server, &request).iter().for_each(fine);
    proxy::decide_direct(&server, &request).iter().for_each(fine);
}

fn ipmi(data: &[u8]) {
    match decode(data) {
        Some(Packet::Plus(plus)) if plus.payload.len() < MAX_PACKET => {
            let again = encode_plus(&plus).expect("short enough");
            assert_eq!(decode(&again), Some(Packet::Plus(plus)), "taken apart, put together");
        }
        Some(Packet::Old(old)) => {
            let again = encode_old(&old).expect("short enough");
            assert_eq!(decode(&again), Some(Packet::Old(old)), "taken apart, put together");
        }
        _ => {}
    }
    if let Some(found) = response(data) {
        assert!(found.data.len() < data.len() && found.sequence < 64);
    }
    let _ = (power_state(data), boot_setting(data));
    assert!(manufacturer(data).is_none_or(|number| number < 1 << 20), "twenty bits");
    let target = Hop { channel: 7, address: 0x82 };
    let ways = [
        Bridge::No,
        Bridge::Single { local: 0x20, target },
        Bridge::Dual { local: 0x20, transit: Hop { channel: 0, address: 0x30 }, target },
    ];
    for bridge in ways {
        let call = Call { bridge, sequence: 5, netfn: 0, command: 1, data: &[] };
        assert!(call.answer(data).is_none_or(|answer| answer.data.len() < data.len()));
    }
}

fn suites() -> impl Iterator<Item = Suite> {
    (0..=17).filter_map(Suite::by_id)
}

fn handshakes(data: &[u8]) {
    let _ = open_response(data, 1, 0x0403_0201);
    let password = Secret::new(b"password".to_vec());
    for suite in suites() {
        let exchange = Exchange {
            suite,
            password: &password,
            kg: None,
            console_id: 0x0403_0201,
            console_random: [7; 16],
            managed_id: 9,
            role: 0x14,
            user: b"admin",
        };
        if let Some(Ok(reply)) = rakp_2(data, 1, &exchange) {
            assert!(!exchange.proves_password(&reply), "nobody who has no password can prove it");
            assert!(exchange.keys(&reply, data).is_none(), "nor its end");
        }
        if let Some(Ok(proof)) = rakp_4(data, 1, &exchange) {
            assert_eq!(proof.len(), suite.hash.code_len());
        }
    }
}

/// Whoever has no key cannot say anything; whoever changes a bit is not heard.
fn sealed(data: &[u8]) {
    let ends = |suite: Suite| {
        let keys = || Keys { integrity: Secret::new(vec![3; 20]), encryption: [4; 16] };
        (Session::Plus(PlusSession::new(suite, keys(), 2, 1)), Session::Plus(PlusSession::new(suite, keys(), 1, 2)))
    };
    for suite in suites() {
        let (mut here, mut there) = ends(suite);
        let opened = there.unseal(data);
        assert!(opened.is_none() || !suite.integrity, "a stranger was heard by suite {}", suite.id);
        let message = &data[..data.len().min(200)];
        let Some(datagram) = here.seal(message) else { continue };
        let (_, mut there) = ends(suite);
        assert_eq!(there.unseal(&datagram).as_deref(), Some(message), "suite {}", suite.id);
        assert_eq!(there.unseal(&datagram), None, "once");
    }
    let old = || OldSession::temporary(AuthType::Md5, &Secret::new(b"password".to_vec()), 5).activated(5, 1, 1, false);
    assert_eq!(old().unseal(data), None, "a stranger was heard");
}

/// Headers, bodies and names of clients; texts that operators write.
pub fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    lines_of_kernels(first, second);
    headers(&text);
    patches(first, second);
    rules(first, second);
    let _ = brokers::parse(first, false);
    let _ = text.parse::<Mac>().map(|mac| assert_eq!(mac.to_string().parse(), Ok(mac)));
}

fn lines_of_kernels(option: &str, own: &str) {
    let plain = |line: &str| line.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !line.contains("${");
    for line in [KernelArgs::parse(option), append_params(option, Some(own), None)].into_iter().flatten() {
        let shown = line.to_string();
        assert!(plain(&shown), "{shown:?}");
        assert_eq!(KernelArgs::parse(&shown).ok().map(|again| again.to_string()), Some(shown), "read again");
    }
    if let Ok(base) = BaseUrl::new(option) {
        assert!(plain(&base.at("boot.ipxe")) && base.at("x").ends_with("/x"), "{base}");
    }
}

fn headers(text: &str) {
    for size in [0, 1, 1 << 20, u64::MAX] {
        if let Wanted::Part { from, length } = wanted(Some(text), size) {
            assert!(length > 0 && from.checked_add(length).is_some_and(|end| end <= size), "{from}+{length} of {size}");
        }
    }
    let offers = ["application/json", "text/html"];
    assert!(accept::preferred(Some(text), &offers).is_none_or(|kind| offers.contains(&kind)));
    assert!(events::place(text).is_ok_and(|place| place >= 0) || events::place(text).is_err());
    if let Ok((user, _)) = basic::credentials(text) {
        assert!(!user.contains(':'), "{user:?}");
    }
    match basic::parse(text) {
        Ok(users) => assert!(users.iter().all(|(user, digest)| !user.is_empty() && digest.len() == 60)),
        Err((line, _)) => assert!((1..=text.lines().count()).contains(&line), "line {line}"),
    }
}

fn patches(body: &str, document: &str) {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return };
    let before: Map<String, Value> = serde_json::from_str(document).unwrap_or_default();
    for version in [Version(1), Version(115)] {
        let Ok(changes) = parse(Some(body.clone()), version) else { continue };
        let mut after = before.clone();
        for change in &changes {
            assert!(!change.path.is_empty());
            let kept = after.clone();
            match apply(&mut after, change) {
                Err(_) => assert_eq!(after, kept, "what fails changes nothing"),
                Ok(()) => holds(&after, change),
            }
        }
    }
    // Nobody masks anything here: what came back stays.
    let document = Value::Object(before);
    assert_eq!(unmasked(&document, &document, body.clone()), body);
}

/// What was set is there.
fn holds(document: &Map<String, Value>, change: &Change) {
    let (Op::Add(value) | Op::Replace(value)) = &change.op else { return };
    let mut place = document.get(change.root());
    for key in &change.path[1..] {
        place = match place {
            Some(Value::Object(map)) => map.get(key),
            Some(Value::Array(items)) if key == "-" => items.last(),
            Some(Value::Array(items)) => key.parse().ok().and_then(|at: usize| items.get(at)),
            _ => None,
        };
    }
    assert_eq!(place, Some(value), "{change:?}");
}

fn rules(first: &str, second: &str) {
    let _ = built_in::parse(first);
    let _ = (pattern::matches(first, second), pattern::contains(first, second));
    if let Some(network) = net::Network::parse(first)
        && let Some(address) = net::address(&second.into())
    {
        let _ = network.contains(address);
    }
}
