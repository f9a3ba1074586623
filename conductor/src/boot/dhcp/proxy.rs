//! Boot options beside an existing DHCP server: never an address, and only for network-booting machines it knows.

use super::reply::{Answer, Destination, Reply, Server, boot_file};
use super::request::{Client, Kind, Request};
use dhcproto::v4::MessageType;

/// Answers what arrives on port 67: the client's call for servers.
pub fn decide(server: &Server, request: &Request) -> Option<Reply> {
    if request.kind != Kind::Discover || !for_us(server, request) {
        return None;
    }
    let mut answer = Answer::new(server, request, MessageType::Offer);
    answer.boot().pxe();
    answer.send(answer.destination())
}

/// Answers what arrives on port 4011, from clients that have their address and ask the boot server directly.
pub fn decide_direct(server: &Server, request: &Request) -> Option<Reply> {
    if !matches!(request.kind, Kind::Request | Kind::Inform) || !for_us(server, request) {
        return None;
    }
    let mut answer = Answer::new(server, request, MessageType::Ack);
    answer.boot().pxe();
    answer.send(Destination::Source)
}

fn for_us(server: &Server, request: &Request) -> bool {
    request.client != Client::Plain && boot_file(server, request.client).is_some()
}
