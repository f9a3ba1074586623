//! The outside of an IPMI datagram: RMCP header and session header, versions 1.5 and 2.0. Pure.
//!
//! Nothing here trusts a length: every field is taken with a check, and what does not fit is `None`.

/// The longest datagram looked at. LAN messages stay below 300 bytes; the rest of a longer one is cut by the socket.
pub const MAX_PACKET: usize = 1024;

/// RMCP version 1.0, no acknowledgement, class IPMI.
const RMCP: [u8; 4] = [0x06, 0x00, 0xff, 0x07];
/// The "authentication type" that says: version 2.0 follows.
const FORMAT_PLUS: u8 = 0x06;
/// Where the session header starts; integrity codes cover everything from here.
pub const SESSION_AT: usize = RMCP.len();

/// Payload types of RMCP+ (IPMI 2.0 table 13-16).
pub mod payload {
    /// An IPMI message.
    pub const IPMI: u8 = 0x00;
    /// Open Session request and response.
    pub const OPEN_REQUEST: u8 = 0x10;
    /// See above.
    pub const OPEN_RESPONSE: u8 = 0x11;
    /// RAKP 1 to 4.
    pub const RAKP_1: u8 = 0x12;
    /// See above.
    pub const RAKP_2: u8 = 0x13;
    /// See above.
    pub const RAKP_3: u8 = 0x14;
    /// See above.
    pub const RAKP_4: u8 = 0x15;
}

/// What a datagram is, once taken apart.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// IPMI 1.5.
    Old(Old<'a>),
    /// RMCP+.
    Plus(Plus<'a>),
}

/// Session header of IPMI 1.5.
#[derive(Debug, PartialEq, Eq)]
pub struct Old<'a> {
    /// 0 none, 2 MD5, 4 password.
    pub auth_type: u8,
    /// Counts the sender's packets.
    pub sequence: u32,
    /// The BMC's id of the session.
    pub session: u32,
    /// Present unless `auth_type` is 0.
    pub code: Option<&'a [u8; 16]>,
    /// An IPMI message.
    pub payload: &'a [u8],
}

/// Session header of RMCP+. The trailer is looked at by whoever knows the session's keys.
#[derive(Debug, PartialEq, Eq)]
pub struct Plus<'a> {
    /// See [`payload`].
    pub payload_type: u8,
    /// The payload is encrypted.
    pub encrypted: bool,
    /// A trailer with an integrity code follows.
    pub authenticated: bool,
    /// Our id of the session; 0 outside of one.
    pub session: u32,
    /// Counts the sender's packets.
    pub sequence: u32,
    /// What is carried.
    pub payload: &'a [u8],
}

/// Takes a datagram apart.
pub fn decode(datagram: &[u8]) -> Option<Packet<'_>> {
    // The sequence byte (index 2) is 0xff by the rule, but nobody depends on it.
    let (rmcp, rest) = datagram.split_first_chunk::<4>()?;
    if rmcp[0] != RMCP[0] || rmcp[3] != RMCP[3] {
        return None;
    }
    let (&auth_type, rest) = rest.split_first()?;
    if auth_type == FORMAT_PLUS {
        decode_plus(rest).map(Packet::Plus)
    } else {
        decode_old(auth_type, rest).map(Packet::Old)
    }
}

fn decode_plus(rest: &[u8]) -> Option<Plus<'_>> {
    let (&kind, rest) = rest.split_first()?;
    let payload_type = kind & 0x3f;
    // OEM payloads (type 2) carry six more bytes; none is asked for, so none is understood.
    if payload_type == 0x02 {
        return None;
    }
    let (session, rest) = rest.split_first_chunk::<4>()?;
    let (sequence, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let payload = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
    Some(Plus {
        payload_type,
        encrypted: kind & 0x80 != 0,
        authenticated: kind & 0x40 != 0,
        session: u32::from_le_bytes(*session),
        sequence: u32::from_le_bytes(*sequence),
        payload,
    })
}

fn decode_old(auth_type: u8, rest: &[u8]) -> Option<Old<'_>> {
    let (sequence, rest) = rest.split_first_chunk::<4>()?;
    let (session, rest) = rest.split_first_chunk::<4>()?;
    let (code, rest) = if auth_type == 0 {
        (None, rest)
    } else {
        let (code, rest) = rest.split_first_chunk::<16>()?;
        (Some(code), rest)
    };
    let (&length, rest) = rest.split_first()?;
    Some(Old {
        auth_type,
        sequence: u32::from_le_bytes(*sequence),
        session: u32::from_le_bytes(*session),
        code,
        payload: rest.get(..usize::from(length))?,
    })
}

/// An RMCP+ datagram without trailer. `None` when the payload is too long for one.
pub fn encode_plus(plus: &Plus<'_>) -> Option<Vec<u8>> {
    let length = u16::try_from(plus.payload.len()).ok().filter(|length| usize::from(*length) < MAX_PACKET)?;
    let mut packet = Vec::with_capacity(plus.payload.len() + 48);
    packet.extend_from_slice(&RMCP);
    packet.push(FORMAT_PLUS);
    packet.push(plus.payload_type | u8::from(plus.encrypted) << 7 | u8::from(plus.authenticated) << 6);
    packet.extend_from_slice(&plus.session.to_le_bytes());
    packet.extend_from_slice(&plus.sequence.to_le_bytes());
    packet.extend_from_slice(&length.to_le_bytes());
    packet.extend_from_slice(plus.payload);
    Some(packet)
}

/// An RMCP+ datagram outside of a session.
pub fn encode_plus_open(payload_type: u8, payload: &[u8]) -> Option<Vec<u8>> {
    encode_plus(&Plus { payload_type, encrypted: false, authenticated: false, session: 0, sequence: 0, payload })
}

/// An IPMI 1.5 datagram. `None` when the payload is too long for one.
pub fn encode_old(old: &Old<'_>) -> Option<Vec<u8>> {
    let length = u8::try_from(old.payload.len()).ok()?;
    let mut packet = Vec::with_capacity(old.payload.len() + 32);
    packet.extend_from_slice(&RMCP);
    packet.push(old.auth_type);
    packet.extend_from_slice(&old.sequence.to_le_bytes());
    packet.extend_from_slice(&old.session.to_le_bytes());
    if let Some(code) = old.code {
        packet.extend_from_slice(code);
    }
    packet.push(length);
    packet.extend_from_slice(old.payload);
    // Some network chips lost packets of exactly these lengths; the specification asks for one byte more (13.6).
    if matches!(packet.len() - SESSION_AT, 56 | 84 | 112 | 128 | 156) {
        packet.push(0);
    }
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::{Old, Packet, Plus, decode, encode_old, encode_plus, payload};
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn any_datagram_is_taken_apart_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let mut framed = vec![6, 0, 0xff, 7];
            framed.extend_from_slice(&bytes);
            let _ = decode(&framed);
        }

        #[test]
        fn both_headers_come_back_as_they_went(sequence: u32, session: u32, body in proptest::collection::vec(any::<u8>(), 0..200), code: [u8; 16]) {
            let plus = Plus { payload_type: payload::RAKP_1, encrypted: true, authenticated: false, session, sequence, payload: &body };
            assert_eq!(decode(&encode_plus(&plus).unwrap()), Some(Packet::Plus(plus)));
            let old = Old { auth_type: 2, sequence, session, code: Some(&code), payload: &body };
            assert_eq!(decode(&encode_old(&old).unwrap()), Some(Packet::Old(old)));
        }
    }

    #[test]
    fn a_lying_length_is_refused() {
        let plus =
            Plus { payload_type: 0, encrypted: false, authenticated: false, session: 1, sequence: 1, payload: &[1; 8] };
        let packet = encode_plus(&plus).unwrap();
        assert_eq!(decode(&packet[..packet.len() - 1]), None);
    }
}
