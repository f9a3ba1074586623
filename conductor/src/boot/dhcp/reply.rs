//! Answers to DHCP clients, as packets: which boot file for whom, and where the packet goes.

use super::request::{Client, Request};
use crate::boot::ipxe::BaseUrl;
use crate::boot::programs::BIOS;
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode, UnknownOption};
use dhcproto::{Encodable, Encoder};
use std::net::Ipv4Addr;

/// Old relays and PXE ROMs drop shorter packets (RFC 1542).
const MIN_PACKET: usize = 300;

/// Ends the options.
const END: u8 = 255;

/// Facts about this server that every answer needs.
#[derive(Clone, Debug)]
pub struct Server {
    /// Our address on the network.
    pub address: Ipv4Addr,
    /// Where scripts and programs are, by HTTP.
    pub base: BaseUrl,
    /// The UEFI program, by name: `snponly.efi` or `ipxe.efi`.
    pub uefi_program: String,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the relay, server port.
    Relay(Ipv4Addr),
    /// To an address the client uses, client port.
    Client(Ipv4Addr),
    /// To everybody on the link, client port: the client has no address yet, and there is no ARP entry to send by.
    Broadcast,
    /// Back to where the request came from (port 4011).
    Source,
}

/// An answer, ready to send.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The packet.
    pub bytes: Vec<u8>,
    /// Where to.
    pub to: Destination,
}

/// What firmware is told to load, or `None` when there is nothing for it.
pub fn boot_file(server: &Server, client: Client) -> Option<String> {
    match client {
        Client::Ipxe => Some(server.base.at("boot.ipxe")),
        Client::Pxe(0) => Some(BIOS.into()),
        // 7 is what firmware sends; 9 is what the registry once said for the same machines.
        Client::Pxe(7 | 9) => Some(server.uefi_program.clone()),
        Client::Http(15..=17) => Some(server.base.at(&server.uefi_program)),
        Client::Pxe(_) | Client::Http(_) | Client::Plain => None,
    }
}

/// An answer being written.
pub struct Answer<'a> {
    server: &'a Server,
    request: &'a Request,
    message: Message,
}

impl<'a> Answer<'a> {
    /// The parts every answer has.
    pub fn new(server: &'a Server, request: &'a Request, kind: MessageType) -> Self {
        let mut message = Message::new_with_id(
            request.xid,
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::UNSPECIFIED,
            request.giaddr,
            &request.mac.0,
        );
        message.set_opcode(Opcode::BootReply);
        if request.broadcast {
            message.set_flags(message.flags().set_broadcast());
        }
        let mut answer = Self { server, request, message };
        answer.put(DhcpOption::MessageType(kind)).put(DhcpOption::ServerIdentifier(server.address));
        answer
    }

    /// Adds an option.
    pub fn put(&mut self, option: DhcpOption) -> &mut Self {
        self.message.opts_mut().insert(option);
        self
    }

    fn put_raw(&mut self, code: u8, data: Vec<u8>) {
        self.put(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), data)));
    }

    /// The address given, and the one the client already uses.
    pub fn addresses(&mut self, yours: Ipv4Addr, client: Ipv4Addr) -> &mut Self {
        self.message.set_yiaddr(yours).set_ciaddr(client);
        self
    }

    /// Boot server and file, in the header and as options: firmware differs in where it looks.
    pub fn boot(&mut self) -> &mut Self {
        let Some(file) = boot_file(self.server, self.request.client) else { return self };
        self.message.set_siaddr(self.server.address);
        // The header has 128 bytes with the final zero. Names are short and BaseUrl is bounded, so it fits.
        if file.len() < 128 {
            self.message.set_fname(file.as_bytes());
        }
        self.put(DhcpOption::TFTPServerName(self.server.address.to_string().into_bytes()));
        self.put(DhcpOption::BootfileName(file.into_bytes()));
        if let Client::Http(_) = self.request.client {
            // Without this echo, UEFI does not take the answer for an HTTP boot server.
            self.put(DhcpOption::ClassIdentifier(b"HTTPClient".to_vec()));
        }
        self
    }

    /// iPXE need not wait for a second server with boot options (its option 175, 176).
    pub fn no_proxy_to_wait_for(&mut self) -> &mut Self {
        if self.request.client == Client::Ipxe {
            self.put_raw(175, vec![176, 1, 1]);
        }
        self
    }

    /// What makes an answer one of a PXE server: class, and "load the file named here, ask nobody" (option 43, 6 = 8).
    pub fn pxe(&mut self) -> &mut Self {
        if let Client::Pxe(_) | Client::Ipxe = self.request.client {
            self.put(DhcpOption::ClassIdentifier(b"PXEClient".to_vec()));
            self.put(DhcpOption::VendorExtensions(vec![6, 1, 8, 255]));
        }
        if let Some(id) = self.request.machine_id.clone() {
            self.put_raw(97, id);
        }
        self
    }

    /// The packet; `None` only if the codec refuses it, which the property tests rule out.
    pub fn send(&self, to: Destination) -> Option<Reply> {
        let mut bytes = Vec::with_capacity(MIN_PACKET);
        self.message.encode(&mut Encoder::new(&mut bytes)).ok()?;
        if let Some(info) = &self.request.relay_info
            && bytes.pop() == Some(END)
        {
            // By hand: the codec writes an option 82 that it did not take apart itself twice.
            bytes.extend([82, u8::try_from(info.len()).ok()?]);
            bytes.extend(info);
            bytes.push(END);
        }
        bytes.resize(bytes.len().max(MIN_PACKET), 0);
        Some(Reply { bytes, to })
    }

    /// Where answers to this request go, by the rules of RFC 2131 section 4.1, but never by an ARP entry we do not have.
    pub fn destination(&self) -> Destination {
        match (self.request.giaddr, self.request.ciaddr) {
            (relay, _) if !relay.is_unspecified() => Destination::Relay(relay),
            (_, client) if !client.is_unspecified() => Destination::Client(client),
            _ => Destination::Broadcast,
        }
    }
}
