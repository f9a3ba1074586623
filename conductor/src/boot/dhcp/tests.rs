//! Whole conversations with the DHCP server: packets in, packets out.

use super::pool::Pool;
use super::request::{Client, Kind};
use super::*;
use crate::boot::ipxe::BaseUrl;
use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode, UnknownOption};
use dhcproto::{Decodable, Decoder};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 22, 0, last)
}

fn server() -> Server {
    Server { address: ip(1), base: BaseUrl::new("http://172.22.0.1:8080").unwrap(), uefi_program: "snponly.efi".into() }
}

fn network() -> Network {
    Network {
        netmask: Ipv4Addr::new(255, 255, 255, 0),
        router: Some(ip(1)),
        dns: vec![ip(2)],
        lease_seconds: 600,
        authoritative: true,
    }
}

fn book() -> LeaseBook {
    LeaseBook::new(Pool::new(ip(100), ip(110), ip(1), Ipv4Addr::new(255, 255, 255, 0), &[]).unwrap())
}

fn request(kind: Kind, client: Client) -> Request {
    Request {
        kind,
        xid: 7,
        broadcast: false,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: Ipv4Addr::UNSPECIFIED,
        mac: MAC,
        requested: None,
        server: None,
        client,
        machine_id: None,
        relay_info: None,
    }
}

fn read(reply: &Reply) -> Message {
    Message::decode(&mut Decoder::new(&reply.bytes)).unwrap()
}

fn kind(message: &Message) -> MessageType {
    message.opts().msg_type().unwrap()
}

fn decide(book: &mut LeaseBook, request: &Request) -> Option<(Message, Destination)> {
    let reply = full::decide(&server(), &network(), book, request, 1000).reply?;
    Some((read(&reply), reply.to))
}

#[test]
fn a_machine_gets_an_address_and_its_boot_file() {
    let mut book = book();
    let (offer, to) = decide(&mut book, &request(Kind::Discover, Client::Pxe(7))).unwrap();
    assert_eq!((kind(&offer), to), (MessageType::Offer, Destination::Broadcast));
    assert_eq!((offer.siaddr(), offer.fname()), (ip(1), Some(b"snponly.efi\0".as_slice())));
    let mut asks = request(Kind::Request, Client::Pxe(7));
    (asks.requested, asks.server) = (Some(offer.yiaddr()), Some(ip(1)));
    let (ack, _) = decide(&mut book, &asks).unwrap();
    assert_eq!((kind(&ack), ack.yiaddr(), ack.xid()), (MessageType::Ack, offer.yiaddr(), 7));
    assert_eq!(ack.opts().get(OptionCode::AddressLeaseTime), Some(&DhcpOption::AddressLeaseTime(600)));
    assert_eq!(ack.opts().get(OptionCode::Router), Some(&DhcpOption::Router(vec![ip(1)])));
    // The ramdisk and the installed system ask again and keep the address; they need no boot file.
    let mut renews = request(Kind::Request, Client::Plain);
    renews.ciaddr = ack.yiaddr();
    let (ack, to) = decide(&mut book, &renews).unwrap();
    assert_eq!((kind(&ack), to, ack.fname()), (MessageType::Ack, Destination::Client(offer.yiaddr()), None));
}

#[test]
fn each_kind_of_firmware_gets_its_file() {
    for (client, file) in [
        (Client::Pxe(0), Some("undionly.kpxe")),
        (Client::Pxe(7), Some("snponly.efi")),
        (Client::Pxe(9), Some("snponly.efi")),
        (Client::Pxe(11), None),
        (Client::Http(16), Some("http://172.22.0.1:8080/snponly.efi")),
        (Client::Ipxe, Some("http://172.22.0.1:8080/boot.ipxe")),
        (Client::Plain, None),
    ] {
        let (offer, _) = decide(&mut book(), &request(Kind::Discover, client)).unwrap();
        let option = offer.opts().get(OptionCode::BootfileName);
        assert_eq!(option, file.map(|name| DhcpOption::BootfileName(name.into())).as_ref(), "{client:?}");
        let class = offer.opts().get(OptionCode::ClassIdentifier);
        assert_eq!(class.is_some(), matches!(client, Client::Http(_)), "{client:?}");
        let no_wait = UnknownOption::new(OptionCode::from(175), vec![176, 1, 1]);
        let found = offer.opts().get(OptionCode::from(175));
        assert_eq!(found == Some(&DhcpOption::Unknown(no_wait)), client == Client::Ipxe, "{client:?}");
    }
}

#[test]
fn an_address_from_elsewhere_is_refused_where_everybody_hears_it() {
    let mut asks = request(Kind::Request, Client::Plain);
    asks.requested = Some(Ipv4Addr::new(192, 0, 2, 9));
    let (nak, to) = decide(&mut book(), &asks).unwrap();
    assert_eq!((kind(&nak), to, nak.yiaddr()), (MessageType::Nak, Destination::Broadcast, Ipv4Addr::UNSPECIFIED));
    let mut quiet = network();
    quiet.authoritative = false;
    assert!(full::decide(&server(), &quiet, &mut book(), &asks, 0).reply.is_none());
}

#[test]
fn another_servers_offer_wins_and_ours_is_free_again() {
    let mut book = book();
    let (offer, _) = decide(&mut book, &request(Kind::Discover, Client::Plain)).unwrap();
    let mut asks = request(Kind::Request, Client::Plain);
    (asks.requested, asks.server) = (Some(offer.yiaddr()), Some(ip(2)));
    assert!(decide(&mut book, &asks).is_none());
    let other = Mac([0x52, 0x54, 0, 0xaa, 0, 2]);
    assert_eq!(book.offer(other, Some(offer.yiaddr()), 1000), Some(offer.yiaddr()));
}

#[test]
fn decline_release_and_inform() {
    let mut book = book();
    let (offer, _) = decide(&mut book, &request(Kind::Discover, Client::Plain)).unwrap();
    let mut declines = request(Kind::Decline, Client::Plain);
    declines.requested = Some(offer.yiaddr());
    assert!(decide(&mut book, &declines).is_none());
    let (second, _) = decide(&mut book, &request(Kind::Discover, Client::Plain)).unwrap();
    assert_ne!(second.yiaddr(), offer.yiaddr());
    let mut informs = request(Kind::Inform, Client::Http(16));
    informs.ciaddr = ip(50);
    let (ack, to) = decide(&mut book, &informs).unwrap();
    assert_eq!((kind(&ack), to, ack.yiaddr()), (MessageType::Ack, Destination::Client(ip(50)), Ipv4Addr::UNSPECIFIED));
    assert!(ack.opts().get(OptionCode::AddressLeaseTime).is_none(), "inform gives no lease");
    let mut releases = request(Kind::Release, Client::Plain);
    releases.ciaddr = second.yiaddr();
    assert!(decide(&mut book, &releases).is_none());
}

#[test]
fn relayed_requests_go_back_through_the_relay_with_its_option() {
    let mut asks = request(Kind::Discover, Client::Pxe(0));
    (asks.giaddr, asks.relay_info) = (ip(9), Some(vec![1, 2, 3, 4]));
    let (offer, to) = decide(&mut book(), &asks).unwrap();
    assert_eq!((to, offer.giaddr()), (Destination::Relay(ip(9)), ip(9)));
    assert!(offer.opts().get(OptionCode::RelayAgentInformation).is_some());
    let reply = full::decide(&server(), &network(), &mut book(), &asks, 0).reply.unwrap();
    assert_eq!(reply.bytes.windows(6).filter(|part| *part == [82, 4, 1, 2, 3, 4]).count(), 1);
}

#[test]
fn a_proxy_names_files_and_never_addresses() {
    let mut asks = request(Kind::Discover, Client::Pxe(0));
    asks.machine_id = Some(vec![9; 17]);
    let offer = read(&proxy::decide(&server(), &asks).unwrap());
    assert_eq!((kind(&offer), offer.yiaddr(), offer.siaddr()), (MessageType::Offer, Ipv4Addr::UNSPECIFIED, ip(1)));
    assert_eq!(
        offer.opts().get(OptionCode::ClassIdentifier),
        Some(&DhcpOption::ClassIdentifier(b"PXEClient".to_vec()))
    );
    assert_eq!(offer.opts().get(OptionCode::VendorExtensions), Some(&DhcpOption::VendorExtensions(vec![6, 1, 8, 255])));
    assert!(offer.opts().get(OptionCode::ClientMachineIdentifier).is_some());
    assert!(offer.opts().get(OptionCode::AddressLeaseTime).is_none());
    assert!(proxy::decide(&server(), &request(Kind::Discover, Client::Plain)).is_none());
    assert!(proxy::decide(&server(), &request(Kind::Request, Client::Pxe(0))).is_none(), "the other server's business");
    let direct = proxy::decide_direct(&server(), &request(Kind::Request, Client::Pxe(7))).unwrap();
    assert_eq!((direct.to, kind(&read(&direct))), (Destination::Source, MessageType::Ack));
}

#[tokio::test]
async fn over_a_socket_known_machines_are_answered_and_strangers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let directory = BootDirectory::default();
    let entry = crate::boot::directory::BootEntry::LocalDisk;
    directory.set(uuid::Uuid::new_v4(), vec![MAC], entry).unwrap();
    let leases = Leases::load(book(), Some(LeaseFile::below(folder.path())));
    let dhcp = Dhcp {
        socket,
        server: server(),
        known: Arc::new(directory),
        role: Role::Full(network(), leases.clone()),
        client_port: client.local_addr().unwrap().port(),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(dhcp.serve(stop.clone()));
    let mut packet = vec![0; 240];
    packet[..3].copy_from_slice(&[1, 1, 6]);
    // A client that uses an address and asks for it again, so that the answer is unicast to loopback.
    packet[12..16].copy_from_slice(&[127, 0, 0, 1]);
    packet[236..].copy_from_slice(&[99, 130, 83, 99]);
    packet.extend([53, 1, 8, 255]);
    for mac in [Mac([0x52, 0x54, 0, 0xaa, 0, 9]), MAC] {
        packet[28..34].copy_from_slice(&mac.0);
        client.send_to(&packet, at).await.unwrap();
    }
    let mut buf = [0; 2048];
    let (count, _) = client.recv_from(&mut buf).await.unwrap();
    let answer = Message::decode(&mut Decoder::new(&buf[..count])).unwrap();
    assert_eq!(answer.chaddr(), MAC.0, "the stranger asked first and got nothing");
    // A lease over the wire is on disk before its answer.
    packet.truncate(240);
    packet.extend([53, 1, 3, 50, 4, 172, 22, 0, 105, 255]);
    client.send_to(&packet, at).await.unwrap();
    client.recv_from(&mut buf).await.unwrap();
    assert_eq!(leases.address_of(MAC), Some(ip(105)));
    let again = Leases::load(book(), Some(LeaseFile::below(folder.path())));
    assert_eq!(again.address_of(MAC), Some(ip(105)));
    stop.cancel();
    task.await.unwrap();
}

proptest! {
    #[test]
    fn every_answer_is_a_short_well_formed_reply_to_its_request(
        kind in 0..5usize, client in 0..4usize, arch in any::<u16>(), relay in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=255)),
        requested in proptest::option::of(any::<[u8; 4]>()), ciaddr in any::<[u8; 4]>(), proxied in any::<bool>(),
    ) {
        let kinds = [Kind::Discover, Kind::Request, Kind::Decline, Kind::Release, Kind::Inform];
        let clients = [Client::Ipxe, Client::Pxe(arch % 12), Client::Http(arch % 20), Client::Plain];
        let mut asks = request(kinds[kind], clients[client]);
        asks.requested = requested.map(Ipv4Addr::from);
        asks.ciaddr = ciaddr.into();
        asks.relay_info = relay;
        asks.machine_id = Some(vec![1; 17]);
        let reply = if proxied {
            proxy::decide(&server(), &asks).or(proxy::decide_direct(&server(), &asks))
        } else {
            full::decide(&server(), &network(), &mut book(), &asks, 0).reply
        };
        if let Some(reply) = reply {
            // 576 is what every client can take, beyond what its own relay adds.
            let relayed = asks.relay_info.as_ref().map_or(0, |info| info.len() + 2);
            prop_assert!(reply.bytes.len() >= 300 && reply.bytes.len() - relayed <= 548, "{}", reply.bytes.len());
            let message = read(&reply);
            prop_assert_eq!(message.xid(), asks.xid);
            prop_assert_eq!(message.chaddr(), &MAC.0);
            prop_assert!(message.opts().msg_type().is_some());
            prop_assert!(!proxied || message.yiaddr().is_unspecified());
        }
    }
}
