//! The IPMI message inside a packet: addresses, checksums, command, data (IPMI 2.0 section 13.8). Pure.

/// IPMB address of a BMC.
pub const BMC: u8 = 0x20;
/// Software id of a remote console.
const CONSOLE: u8 = 0x81;
/// A response shorter than this holds no completion code.
const RESPONSE_MIN: usize = 8;

/// Network functions used here.
pub mod netfn {
    /// Power and boot.
    pub const CHASSIS: u8 = 0x00;
    /// Sessions, device, messaging.
    pub const APP: u8 = 0x06;
}

/// Who speaks to whom in a request.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Responder's address.
    pub to: u8,
    /// Requester's address.
    pub from: u8,
}

/// The way of every message that is not bridged.
pub const DIRECT: Route = Route { to: BMC, from: CONSOLE };

/// A request, ready for a payload. `sequence` has six bits.
pub fn request(route: Route, sequence: u8, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let head = [route.to, netfn << 2];
    let body = [route.from, sequence << 2, command];
    let mut message = Vec::with_capacity(7 + data.len());
    message.extend_from_slice(&head);
    message.push(checksum(&head));
    message.extend_from_slice(&body);
    message.extend_from_slice(data);
    message.push(checksum(&message[3..]));
    message
}

/// What a BMC answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Odd: the request's plus one.
    pub netfn: u8,
    /// Six bits, as in the request.
    pub sequence: u8,
    /// As in the request.
    pub command: u8,
    /// Completion code; 0 is success.
    pub code: u8,
    /// What follows the completion code.
    pub data: &'a [u8],
}

/// Takes a response apart. Checksums are not held to: in a session the integrity code says more, outside of one the
/// UDP checksum does, and some firmware gets them wrong.
pub fn response(message: &[u8]) -> Option<Response<'_>> {
    if message.len() < RESPONSE_MIN {
        return None;
    }
    let response = Response {
        netfn: message[1] >> 2,
        sequence: message[4] >> 2,
        command: message[5],
        code: message[6],
        data: &message[7..message.len() - 1],
    };
    (response.netfn & 1 == 1).then_some(response)
}

/// Two's complement of the sum.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::{DIRECT, checksum, netfn, request, response};
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_request_has_the_bytes_ipmitool_sends() {
        // Get Channel Authentication Capabilities, channel 0x0e with 2.0 data, administrator: seen on the wire.
        let bytes = request(DIRECT, 0, netfn::APP, 0x38, &[0x8e, 0x04]);
        assert_eq!(bytes, [0x20, 0x18, 0xc8, 0x81, 0x00, 0x38, 0x8e, 0x04, 0xb5]);
        assert_eq!(checksum(&bytes[..3]), 0);
    }

    #[test]
    fn a_response_is_taken_apart_and_a_request_is_not_one() {
        let bytes = [0x81, 0x1c, 0x63, 0x20, 0x08, 0x38, 0x00, 0xaa, 0xbb, 0x00];
        let answer = response(&bytes).unwrap();
        assert_eq!((answer.netfn, answer.sequence, answer.command, answer.code), (7, 2, 0x38, 0));
        assert_eq!(answer.data, [0xaa, 0xbb]);
        assert_eq!(response(&request(DIRECT, 0, netfn::APP, 0x38, &[1, 2, 3])), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = response(&bytes);
        }
    }
}
