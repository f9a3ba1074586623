//! A DHCP packet from the network as a typed request: everything else in it is dropped at this door.
//!
//! The codec's lazy reader is used on purpose: its eager one asserts lengths of options that a client chooses.

use common::mac::Mac;
use dhcproto::v4::borrowed::Message;
use dhcproto::v4::{HType, Opcode};
use std::net::Ipv4Addr;

/// What the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who is there?
    Discover,
    /// This address, please.
    Request,
    /// Somebody else uses the address.
    Decline,
    /// Not needed any more.
    Release,
    /// Options only.
    Inform,
}

/// Who asks: decides which boot file is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// iPXE, from a ROM or loaded by us: it gets the script.
    Ipxe,
    /// Firmware that loads by TFTP, with its architecture (option 93).
    Pxe(u16),
    /// Firmware that loads by HTTP, with its architecture.
    Http(u16),
    /// An operating system.
    Plain,
}

/// A request from an Ethernet client.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it wants.
    pub kind: Kind,
    /// Its transaction.
    pub xid: u32,
    /// It asks for a broadcast answer.
    pub broadcast: bool,
    /// The address it has and uses.
    pub ciaddr: Ipv4Addr,
    /// The relay it came through.
    pub giaddr: Ipv4Addr,
    /// Its NIC.
    pub mac: Mac,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
    /// Who asks.
    pub client: Client,
    /// Option 97, to be echoed.
    pub machine_id: Option<Vec<u8>>,
    /// Option 82, to be echoed.
    pub relay_info: Option<Vec<u8>>,
}

impl Request {
    /// `None` for what is no DHCP request of an Ethernet client.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let message = Message::new(packet).ok()?;
        let ethernet = message.htype() == HType::Eth && message.hlen() == 6;
        if message.opcode() != Opcode::BootRequest || !ethernet {
            return None;
        }
        let mac = Mac(message.chaddr().try_into().ok()?);
        // A group address is no NIC.
        if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
            return None;
        }
        let mut request = Self {
            kind: Kind::Inform,
            xid: message.xid(),
            broadcast: message.flags().broadcast(),
            ciaddr: message.ciaddr(),
            giaddr: message.giaddr(),
            mac,
            requested: None,
            server: None,
            client: Client::Plain,
            machine_id: None,
            relay_info: None,
        };
        request.read_options(&message).then_some(request)
    }

    /// False without a message type we answer.
    fn read_options(&mut self, message: &Message<'_>) -> bool {
        let (mut typed, mut ipxe, mut architecture, mut class) = (false, false, None, Vec::new());
        for option in message.opts() {
            let data = option.data();
            match u8::from(option.code()) {
                50 => self.requested = address(data),
                53 => {
                    self.kind = match data {
                        [1] => Kind::Discover,
                        [3] => Kind::Request,
                        [4] => Kind::Decline,
                        [7] => Kind::Release,
                        [8] => Kind::Inform,
                        _ => return false,
                    };
                    typed = true;
                }
                54 => self.server = address(data),
                60 => class = data.to_vec(),
                // iPXE writes its name plainly; other clients write a length before each name.
                77 => ipxe |= matches!(data, b"iPXE" | b"\x04iPXE"),
                82 if data.len() <= 255 => self.relay_info = Some(data.to_vec()),
                // Several architectures in order of preference: the first decides.
                93 if data.len() >= 2 => architecture = Some(u16::from_be_bytes([data[0], data[1]])),
                97 if data.len() == 17 => self.machine_id = Some(data.to_vec()),
                175 => ipxe = true,
                _ => {}
            }
        }
        self.client = match architecture {
            _ if ipxe => Client::Ipxe,
            Some(architecture) if class.starts_with(b"HTTPClient") => Client::Http(architecture),
            Some(architecture) if class.starts_with(b"PXEClient") => Client::Pxe(architecture),
            // BIOS ROMs older than option 93.
            None if class.starts_with(b"PXEClient") => Client::Pxe(0),
            _ => Client::Plain,
        };
        typed
    }
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, proptest};

    fn packet(options: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 240];
        packet[..3].copy_from_slice(&[1, 1, 6]);
        packet[28..34].copy_from_slice(&[0x52, 0x54, 0, 0xaa, 0, 1]);
        packet[236..].copy_from_slice(&[99, 130, 83, 99]);
        packet.extend(options);
        packet
    }

    fn client(options: &[u8]) -> Client {
        let mut all = vec![53, 1, 1];
        all.extend(options);
        Request::read(&packet(&all)).unwrap().client
    }

    #[test]
    fn who_asks_is_told_from_the_options() {
        let pxe = b"\x3c\x20PXEClient:Arch:00007:UNDI:003000".as_slice();
        assert_eq!(client(&[pxe, &[93, 2, 0, 7]].concat()), Client::Pxe(7));
        assert_eq!(client(&[&[93, 4, 0, 9, 0, 7], pxe].concat()), Client::Pxe(9));
        assert_eq!(client(pxe), Client::Pxe(0));
        assert_eq!(client(&[pxe, &[93, 2, 0, 0, 175, 3, 1, 1, 1]].concat()), Client::Ipxe);
        assert_eq!(client(b"\x4d\x04iPXE"), Client::Ipxe);
        assert_eq!(client(b"\x3c\x0aHTTPClient\x5d\x02\x00\x10"), Client::Http(16));
        assert_eq!(client(&[93, 2, 0, 7]), Client::Plain);
        assert_eq!(client(b"\x3c\x04udhc"), Client::Plain);
    }

    #[test]
    fn what_is_not_for_us_is_dropped() {
        let good = packet(&[53, 1, 3, 50, 4, 10, 0, 0, 7, 54, 4, 10, 0, 0, 1, 255]);
        let request = Request::read(&good).unwrap();
        assert_eq!((request.kind, request.requested), (Kind::Request, Some(Ipv4Addr::new(10, 0, 0, 7))));
        assert_eq!(request.server, Some(Ipv4Addr::new(10, 0, 0, 1)));
        for (at, byte) in [(0, 2), (1, 6), (2, 16), (2, 255), (28, 0x53), (236, 0)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Request::read(&bad).is_none(), "byte {at}");
        }
        assert!(Request::read(&good[..239]).is_none());
        assert!(Request::read(&packet(&[53, 1, 2])).is_none(), "an offer is no request");
        assert!(Request::read(&packet(&[])).is_none());
    }

    proptest! {
        #[test]
        fn hostile_options_never_panic(options in vec(any::<u8>(), 0..600), header in vec(any::<u8>(), 0..8)) {
            let mut bytes = packet(&options);
            bytes[1..1 + header.len()].copy_from_slice(&header);
            let _ = Request::read(&bytes);
            let mut plain = packet(&[53, 1, 1]);
            plain.extend(&options);
            let request = Request::read(&plain);
            if let Some(request) = request {
                prop_assert!(request.machine_id.is_none_or(|id| id.len() == 17));
                prop_assert!(request.relay_info.is_none_or(|info| info.len() <= 255));
            }
        }

        #[test]
        fn hostile_packets_never_panic(bytes in vec(any::<u8>(), 0..1500)) {
            let _ = Request::read(&bytes);
        }
    }
}
