//! The commands this BMC knows: device, session, chassis, boot options.

use super::chassis::Chassis;
use super::faults::Faults;

/// Completion codes.
pub const INVALID_COMMAND: u8 = 0xc1;
const INVALID_FIELD: u8 = 0xcc;
const NOT_SUPPORTED: u8 = 0x80;

/// A request, without its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Network function.
    pub netfn: u8,
    /// Command.
    pub command: u8,
    /// Data.
    pub data: Vec<u8>,
    sequence: u8,
    from: u8,
    to: u8,
}

impl Request {
    /// Takes a message apart, checksums included: a real BMC drops a wrong one.
    pub fn read(message: &[u8]) -> Option<Request> {
        let right = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0;
        if message.len() < 7 || !right(&message[..3]) || !right(&message[3..]) {
            return None;
        }
        Some(Request {
            netfn: message[1] >> 2,
            command: message[5],
            data: message[6..message.len() - 1].to_vec(),
            sequence: message[4],
            from: message[3],
            to: message[0],
        })
    }

    /// The answer's envelope.
    pub fn reply(&self, code: u8, data: &[u8]) -> Vec<u8> {
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        let head = [self.from, (self.netfn | 1) << 2];
        let mut message = vec![head[0], head[1], sum(&head), self.to, self.sequence, self.command, code];
        message.extend_from_slice(data);
        message.push(sum(&message[3..]));
        message
    }
}

/// Does what any console may ask, also outside of a session.
pub fn public(request: &Request, kg: bool) -> Option<(u8, Vec<u8>)> {
    match (request.netfn, request.command) {
        // Channel 1; none, MD5 and password in version 1.5; K_g; version 2.0.
        (6, 0x38) => Some((0, vec![1, 0x80 | 0x15, 0x04 | u8::from(kg) << 5, 0x03, 0, 0, 0, 0])),
        // Cipher suite records of 3 and 17, all in the first list.
        (6, 0x54) if request.data.get(2).is_some_and(|index| index & 0x3f == 0) => {
            Some((0, vec![1, 0xc0, 3, 0x01, 0x41, 0x81, 0xc0, 17, 0x03, 0x44, 0x81]))
        }
        (6, 0x54) => Some((0, vec![1])),
        _ => None,
    }
}

/// Does what needs a session of operator's level or so. Session commands are the server's.
pub fn run(request: &Request, chassis: &dyn Chassis, faults: &Faults) -> (u8, Vec<u8>) {
    match (request.netfn, request.command) {
        (6, 0x01) => {
            let [low, middle, high, _] = faults.manufacturer.to_le_bytes();
            (0, vec![0x20, 0x01, 0x02, 0x15, 0x02, 0xbf, low, middle, high, 0x01, 0x00])
        }
        // Cold and warm reset of the BMC itself.
        (6, 0x02 | 0x03) => (0, Vec::new()),
        (0, 0x01) => (0, vec![u8::from(chassis.is_on()), 0, 0]),
        (0, 0x02) => control(request.data.first().copied(), chassis, faults),
        (0, 0x08) => set_boot_option(&request.data, chassis, faults),
        (0, 0x09) => match request.data.first() {
            Some(5) => (0, [&[1, 5][..], &chassis.boot_flags()].concat()),
            Some(0) => (0, vec![1, 0, 0]),
            _ => (NOT_SUPPORTED, Vec::new()),
        },
        _ => (INVALID_COMMAND, Vec::new()),
    }
}

fn control(action: Option<u8>, chassis: &dyn Chassis, faults: &Faults) -> (u8, Vec<u8>) {
    let Some(action) = action.filter(|action| !faults.refuse_control.contains(action)) else {
        return (INVALID_FIELD, Vec::new());
    };
    if !faults.stuck {
        match action {
            0 => chassis.off(),
            1 => chassis.on(),
            2 => chassis.cycle(),
            3 => chassis.reset(),
            4 => chassis.nmi(),
            5 => chassis.soft(),
            _ => return (INVALID_FIELD, Vec::new()),
        }
    }
    (0, Vec::new())
}

fn set_boot_option(data: &[u8], chassis: &dyn Chassis, faults: &Faults) -> (u8, Vec<u8>) {
    match data.split_first() {
        Some((parameter, _)) if faults.refuse_boot_options.contains(parameter) => (NOT_SUPPORTED, Vec::new()),
        Some((5, flags)) => match flags.first_chunk::<5>() {
            Some(flags) => {
                chassis.set_boot_flags(*flags);
                (0, Vec::new())
            }
            None => (0xc7, Vec::new()),
        },
        Some((0..=4, _)) => (0, Vec::new()),
        _ => (NOT_SUPPORTED, Vec::new()),
    }
}
