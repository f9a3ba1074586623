//! Messages to a controller behind the BMC: Send Message, once or twice round the real one (IPMI 2.0 section 6.13). Pure.

use super::message::{BMC, DIRECT, Response, Route, netfn, request, response};

const SEND_MESSAGE: u8 = 0x34;
/// "Track this request": the BMC sends the answer on to us.
const TRACK: u8 = 0x40;

/// An address on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Channel number, 0 to 15.
    pub channel: u8,
    /// Slave address on it.
    pub address: u8,
}

/// The way to the controller of one node, from driver_info.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bridge {
    /// The BMC itself.
    #[default]
    No,
    /// `ipmi_bridging` single: one controller behind it.
    Single {
        /// Our address on the bus, normally the BMC's.
        local: u8,
        /// The controller.
        target: Hop,
    },
    /// `ipmi_bridging` dual: one behind another.
    Dual {
        /// As above.
        local: u8,
        /// The controller in between.
        transit: Hop,
        /// The controller.
        target: Hop,
    },
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Completion code.
    pub code: u8,
    /// Data after it.
    pub data: Vec<u8>,
    /// The code is that of Send Message: the controller was not reached.
    pub on_the_way: bool,
}

/// One request and how to know its answer.
pub struct Call<'a> {
    /// The way there.
    pub bridge: Bridge,
    /// Six bits, the same in all layers.
    pub sequence: u8,
    /// Network function of the request.
    pub netfn: u8,
    /// Command.
    pub command: u8,
    /// Data.
    pub data: &'a [u8],
}

impl Call<'_> {
    /// The message to send to the BMC.
    pub fn message(&self) -> Vec<u8> {
        let inner = |route| request(route, self.sequence, self.netfn, self.command, self.data);
        match self.bridge {
            Bridge::No => inner(DIRECT),
            Bridge::Single { local, target } => {
                self.wrap(DIRECT, target, inner(Route { to: target.address, from: local }))
            }
            Bridge::Dual { local, transit, target } => {
                let last = inner(Route { to: target.address, from: local });
                let middle = self.wrap(Route { to: transit.address, from: local }, target, last);
                self.wrap(DIRECT, transit, middle)
            }
        }
    }

    fn wrap(&self, route: Route, hop: Hop, inner: Vec<u8>) -> Vec<u8> {
        let mut data = vec![TRACK | hop.channel & 0x0f];
        data.extend_from_slice(&inner);
        request(route, self.sequence, netfn::APP, SEND_MESSAGE, &data)
    }

    /// The answer in a message; `None` = not the answer, or only the news that the request was sent on.
    pub fn answer(&self, message: &[u8]) -> Option<Answer> {
        let layers = match self.bridge {
            Bridge::No => 0,
            Bridge::Single { .. } => 1,
            Bridge::Dual { .. } => 2,
        };
        self.answer_within(message, layers)
    }

    fn answer_within(&self, message: &[u8], layers: u8) -> Option<Answer> {
        let reply = response(message)?;
        if reply.sequence != self.sequence {
            return None;
        }
        if self.matches(&reply, self.netfn, self.command) {
            return Some(Answer { code: reply.code, data: reply.data.to_vec(), on_the_way: false });
        }
        if layers == 0 || !self.matches(&reply, netfn::APP, SEND_MESSAGE) {
            return None;
        }
        if reply.code != 0 {
            return Some(Answer { code: reply.code, data: Vec::new(), on_the_way: true });
        }
        // Some BMCs put the answer inside the answer to Send Message, others send it by itself afterwards.
        self.answer_within(reply.data, layers - 1)
    }

    fn matches(&self, reply: &Response<'_>, netfn: u8, command: u8) -> bool {
        reply.netfn == netfn | 1 && reply.command == command
    }
}

/// The BMC's own address on the bus, when `ipmi_local_address` is not set.
pub const LOCAL: u8 = BMC;

#[cfg(test)]
mod tests {
    use super::{Bridge, Call, Hop, LOCAL};
    use proptest::prelude::{any, proptest};

    const TARGET: Hop = Hop { channel: 7, address: 0x82 };
    const TRANSIT: Hop = Hop { channel: 0, address: 0x30 };

    fn call(bridge: Bridge) -> Call<'static> {
        Call { bridge, sequence: 5, netfn: 0, command: 1, data: &[] }
    }

    /// A reply as a controller makes it.
    fn reply(netfn: u8, command: u8, code: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x81, netfn << 2, 0, 0x20, 5 << 2, command, code];
        bytes.extend_from_slice(data);
        bytes.push(0);
        bytes
    }

    #[test]
    fn each_layer_names_its_channel_and_address() {
        let single = call(Bridge::Single { local: LOCAL, target: TARGET }).message();
        assert_eq!(single[5..8], [0x34, 0x47, 0x82]);
        let dual = call(Bridge::Dual { local: LOCAL, transit: TRANSIT, target: TARGET }).message();
        assert_eq!(dual[5..8], [0x34, 0x40, 0x30]);
        assert_eq!(dual[12..15], [0x34, 0x47, 0x82]);
    }

    #[test]
    fn the_answer_is_known_alone_and_inside_send_message() {
        let bridge = Bridge::Single { local: LOCAL, target: TARGET };
        let answer = reply(1, 1, 0, &[0x21]);
        assert_eq!(call(bridge).answer(&answer).unwrap().data, [0x21]);
        assert_eq!(call(bridge).answer(&reply(7, 0x34, 0, &answer)).unwrap().data, [0x21]);
        assert_eq!(call(bridge).answer(&reply(7, 0x34, 0, &[])), None, "sent on, the answer comes later");
        assert!(call(bridge).answer(&reply(7, 0x34, 0x83, &[])).unwrap().on_the_way);
        assert_eq!(call(Bridge::No).answer(&reply(7, 0x34, 0, &answer)), None, "nobody asked for a bridge");
        let dual = Bridge::Dual { local: LOCAL, transit: TRANSIT, target: TARGET };
        let nested = reply(7, 0x34, 0, &reply(7, 0x34, 0, &answer));
        assert_eq!(call(dual).answer(&nested).unwrap().data, [0x21]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = call(Bridge::Dual { local: LOCAL, transit: TRANSIT, target: TARGET }).answer(&bytes);
        }
    }
}
