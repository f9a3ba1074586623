//! Which switch port each cable ends at: the packets that switches send by themselves (IEEE 802.1AB).
//!
//! Nothing is sent. A frame counts when it begins as the standard says; anything else on the wire is passed over.

pub mod parsed;

pub use parsed::{parsed, vlans};

use crate::sys::packet::{FrameSocket, wait};
use crate::sys::sysfs::Unread;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// EtherType of LLDP.
const ETHERTYPE: u16 = 0x88cc;
/// Where switches send to: nearest bridge, nearest bridge that is no repeater, nearest customer bridge.
const GROUPS: [[u8; 6]; 3] =
    [[0x01, 0x80, 0xc2, 0, 0, 0x0e], [0x01, 0x80, 0xc2, 0, 0, 0x03], [0x01, 0x80, 0xc2, 0, 0, 0x00]];
/// Bytes before the data: two addresses and the EtherType.
const ETHERNET_HEADER: usize = 14;
/// Most pieces of one packet; a packet of empty ones could have seven hundred.
const MAX_PIECES: usize = 256;

/// Type and value in hexadecimal, as the inventory has them.
pub type Tlv = (u8, String);
/// What each interface heard; an empty list: nothing in time.
pub type Heard = BTreeMap<String, Vec<Tlv>>;

/// How long switches are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Silence after which nothing more is expected.
    pub silence: Duration,
    /// In all, whatever comes; none: three times the silence.
    pub most: Option<Duration>,
}

/// Listens on all `names` at once, until each that is `expected` to hear something has, or `patience` is over.
pub fn listen(
    names: &[String],
    expected: impl Fn(&str) -> bool,
    patience: Patience,
    unread: &mut Vec<Unread>,
) -> Heard {
    let mut heard = Heard::new();
    let mut open: Vec<(&String, FrameSocket)> = Vec::new();
    for name in names {
        heard.insert(name.clone(), Vec::new());
        match FrameSocket::open(name, ETHERTYPE, &GROUPS) {
            Ok(socket) => open.push((name, socket)),
            Err(error) => unread.push(Unread { what: format!("LLDP on {name}"), why: error.to_string() }),
        }
    }
    let end = Instant::now() + patience.most.unwrap_or(patience.silence.saturating_mul(3));
    let mut quiet = Instant::now() + patience.silence;
    while open.iter().any(|(name, _)| expected(name)) {
        let sockets: Vec<&FrameSocket> = open.iter().map(|(_, socket)| socket).collect();
        let ready = match wait(&sockets, quiet.min(end)) {
            Ok(ready) if ready.is_empty() => break,
            Ok(ready) => ready,
            Err(error) => {
                unread.push(Unread { what: "LLDP".into(), why: error.to_string() });
                break;
            }
        };
        for at in ready.into_iter().rev() {
            let Some((name, socket)) = open.get(at) else { continue };
            match socket.receive() {
                Ok(Some(frame)) => {
                    let Some(pieces) = pieces(&frame) else { continue };
                    tracing::info!(interface = %name, pieces = pieces.len(), "heard the switch");
                    heard.insert((*name).clone(), pieces);
                    quiet = Instant::now() + patience.silence;
                    open.remove(at);
                }
                Ok(None) => {}
                // The interface is off or gone: it will hear nothing.
                Err(error) => {
                    unread.push(Unread { what: format!("LLDP on {name}"), why: error.to_string() });
                    open.remove(at);
                }
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
    heard
}

/// The pieces of a frame, the last one included; `None` for what is no LLDP packet, or only a good-bye (time to live 0).
pub fn pieces(frame: &[u8]) -> Option<Vec<Tlv>> {
    let mut rest = frame.get(ETHERNET_HEADER..)?;
    if frame.get(12..14)? != ETHERTYPE.to_be_bytes() {
        return None;
    }
    let mut pieces = Vec::new();
    while let [high, low, after @ ..] = rest {
        let kind = high >> 1;
        let length = usize::from(high & 1) << 8 | usize::from(*low);
        // A value that is cut off is kept as far as it goes; the conductor's parsers check lengths.
        let value = after.get(..length.min(after.len()))?;
        pieces.push((kind, hex(value)));
        rest = after.get(value.len()..)?;
        if kind == 0 || pieces.len() == MAX_PIECES {
            break; // what follows the end is padding
        }
    }
    let begins_right = matches!(pieces.as_slice(), [(1, chassis), (2, port), (3, life), ..]
        if chassis.len() >= 4 && port.len() >= 4 && life.len() >= 4 && !life.starts_with("0000"));
    begins_right.then_some(pieces)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a piece's value; nothing for what is no hexadecimal.
fn bytes(value: &str) -> Vec<u8> {
    let pair = |at: usize| value.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..value.len()).step_by(2).map_while(pair).collect()
}

#[cfg(test)]
mod tests;
