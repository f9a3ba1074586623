//! DNS messages, as much as a service look-up needs: one question out, records of four types in (RFC 1035, RFC 2782).
//!
//! Everything that comes in is hostile: lengths are checked, pointers may only lead backwards, names and counts are bounded.

use crate::sys::text::clean;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const A: u16 = 1;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const INTERNET: u16 = 1;
/// Asks for an answer to us alone.
const UNICAST: u16 = 0x8000;
/// Most records of one message, most labels of a name, longest name, most keys and addresses kept.
const MAX_RECORDS: usize = 256;
const MAX_LABELS: usize = 64;
const MAX_NAME: usize = 255;
const MAX_KEPT: usize = 64;

/// A question for the service's place and texts.
pub fn query(service: &str, id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0]); // two questions
    for kind in [SRV, TXT] {
        for label in service.split('.').filter(|label| (1..=63).contains(&label.len())) {
            message.push(label.len() as u8);
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend((INTERNET | UNICAST).to_be_bytes());
    }
    message
}

/// What was said about one service, over several messages. The first word counts.
#[derive(Debug)]
pub struct Answers {
    service: String,
    server: Option<(String, u16)>,
    texts: Option<Vec<(String, String)>>,
    hosts: Vec<(String, IpAddr)>,
    addresses: Vec<IpAddr>,
}

impl Answers {
    /// Nothing yet.
    pub fn new(service: &str) -> Answers {
        let service = service.to_ascii_lowercase();
        Answers { service, server: None, texts: None, hosts: vec![], addresses: vec![] }
    }

    /// Takes what a message says; as far as it is well formed.
    pub fn read(&mut self, message: &[u8]) {
        let _ = self.read_all(message);
        let Some((server, _)) = &self.server else { return };
        let of_server = self.hosts.iter().filter(|(name, _)| name == server).map(|(_, address)| *address);
        let mut addresses: Vec<IpAddr> = Vec::new();
        of_server.for_each(|address| {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        });
        self.addresses = addresses;
    }

    fn read_all(&mut self, message: &[u8]) -> Option<()> {
        let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let is_answer = message.get(2)? & 0x80 != 0;
        if !is_answer {
            return None;
        }
        let mut at = 12;
        for _ in 0..usize::from(number(4)?).min(MAX_RECORDS) {
            at = name(message, at)?.1 + 4;
        }
        let records = usize::from(number(6)?) + usize::from(number(8)?) + usize::from(number(10)?);
        for _ in 0..records.min(MAX_RECORDS) {
            let (owner, after) = name(message, at)?;
            let (kind, class, length) = (number(after)?, number(after + 2)? & 0x7fff, usize::from(number(after + 8)?));
            let data = after + 10;
            let bytes = message.get(data..data + length)?;
            if class == INTERNET {
                // One record that is malformed is no reason to drop the others.
                let _ = self.record(&owner, kind, message, data, bytes);
            }
            at = data + length;
        }
        Some(())
    }

    fn record(&mut self, owner: &str, kind: u16, message: &[u8], data: usize, bytes: &[u8]) -> Option<()> {
        match kind {
            SRV if owner == self.service && self.server.is_none() => {
                let port = u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]);
                let (target, _) = name(message, data + 6)?;
                self.server = Some((target, port)).filter(|(target, port)| !target.is_empty() && *port > 0);
            }
            TXT if owner == self.service && self.texts.is_none() => self.texts = Some(texts(bytes)),
            A if self.hosts.len() < MAX_KEPT => {
                self.hosts.push((owner.into(), Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()));
            }
            AAAA if self.hosts.len() < MAX_KEPT => {
                self.hosts.push((owner.into(), Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()));
            }
            _ => {}
        }
        Some(())
    }

    /// Someone said where the service is.
    pub fn has_service(&self) -> bool {
        self.server.is_some()
    }

    /// Nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.has_service() && self.texts.is_some() && !self.addresses.is_empty()
    }

    /// Host (lower case, no dot at the end) and port.
    pub fn server(&self) -> Option<(&str, u16)> {
        self.server.as_ref().map(|(name, port)| (name.as_str(), *port))
    }

    /// Keys (lower case) and values.
    pub fn texts(&self) -> &[(String, String)] {
        self.texts.as_deref().unwrap_or_default()
    }

    /// Of the server.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}

/// Strings `key=value`, each with its length before it; of a key the first counts.
fn texts(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    while let [length, rest @ ..] = bytes {
        let Some(text) = rest.get(..usize::from(*length)) else { break };
        if let Some(at) = text.iter().position(|byte| *byte == b'=').filter(|_| pairs.len() < MAX_KEPT) {
            let key = clean(&text[..at], 64).to_ascii_lowercase();
            if !pairs.iter().any(|(known, _)| *known == key) {
                pairs.push((key, clean(&text[at + 1..], 255)));
            }
        }
        bytes = rest.get(text.len()..).unwrap_or_default();
    }
    pairs
}

/// The name at `at` (lower case, labels joined by dots) and where it ends. Pointers must lead backwards: no loops.
fn name(message: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut at, mut end, mut bound) = (at, None, at);
    let mut text = String::new();
    for _ in 0..MAX_LABELS {
        let length = *message.get(at)?;
        match length {
            0 => return Some((text, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                let label: String =
                    label.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '?' }).collect();
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&label.to_ascii_lowercase());
                if text.len() > MAX_NAME {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            192.. => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end = end.or(Some(at + 2));
                if target >= bound {
                    return None;
                }
                (at, bound) = (target, target);
            }
            _ => return None,
        }
    }
    None
}
