//! One UDP socket to one BMC: send, wait, send again with growing waits, and never longer than allowed.

use super::error::IpmiError;
use super::packet::MAX_PACKET;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Longest wait for one answer.
const WAIT_MAX: Duration = Duration::from_secs(4);
/// After an ICMP refusal: do not ask the socket again at once.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for the name service.
const RESOLVE: Duration = Duration::from_secs(5);

/// How often and how fast a packet is sent: the wait doubles each time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Wait for the first answer.
    pub first: Duration,
    /// Packets sent at most.
    pub tries: u32,
}

/// Both halves of a question: what to send (made anew each time, so that it counts), and what is its answer.
pub trait Question {
    /// What the answer is made into.
    type Answer;
    /// The datagram; `None` ends the question.
    fn datagram(&mut self) -> Option<Vec<u8>>;
    /// The answer in a datagram; `None` = something else, go on waiting.
    fn answer(&mut self, datagram: &[u8]) -> Option<Self::Answer>;
}

/// A question from two closures.
pub struct Ask<S, A>(pub S, pub A);

impl<S: FnMut() -> Option<Vec<u8>>, T, A: FnMut(&[u8]) -> Option<T>> Question for Ask<S, A> {
    type Answer = T;
    fn datagram(&mut self) -> Option<Vec<u8>> {
        (self.0)()
    }
    fn answer(&mut self, datagram: &[u8]) -> Option<T> {
        (self.1)(datagram)
    }
}

/// An answer, and how many packets it took.
pub struct Answered<T> {
    /// The answer.
    pub answer: T,
    /// The question went out more than once: the BMC may have seen it twice.
    pub repeated: bool,
}

/// Nobody answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// The host said by ICMP that nothing listens at the port.
    pub refused: bool,
}

/// The socket.
pub struct Link {
    socket: UdpSocket,
}

impl Link {
    /// Resolves the name and connects: packets of other hosts are not seen.
    pub async fn open(address: &str, port: u16, deadline: Instant) -> Result<Link, IpmiError> {
        let deadline = deadline.min(Instant::now() + RESOLVE);
        let found = timeout_at(deadline, lookup_host((address, port))).await;
        let peer = match found {
            Ok(Ok(mut peers)) => peers.next(),
            _ => None,
        };
        let Some(peer) = peer else {
            return Err(IpmiError::Address(format!(
                "the name {address} cannot be resolved: correct ipmi_address or the name service"
            )));
        };
        let local: SocketAddr =
            if peer.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let connected = async {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(peer).await?;
            Ok::<_, std::io::Error>(socket)
        };
        match connected.await {
            Ok(socket) => Ok(Link { socket }),
            Err(error) => Err(IpmiError::Address(format!(
                "no way to {peer}: {error}. Check ipmi_address and this host's network"
            ))),
        }
    }

    /// Asks until answered, until the pace is used up or until the deadline.
    pub async fn ask<Q: Question>(
        &self,
        question: &mut Q,
        pace: Pace,
        deadline: Instant,
    ) -> Result<Answered<Q::Answer>, Silence> {
        let mut wait = pace.first;
        let mut silence = Silence::default();
        let mut sent_before = false;
        for _ in 0..pace.tries {
            let until = deadline.min(Instant::now() + wait);
            let Some(datagram) = question.datagram() else { break };
            // What the socket says here is about an earlier packet, or shows again as silence.
            silence.refused |= self.socket.send(&datagram).await.is_err();
            if let Some(answer) = self.listen(question, until, &mut silence).await {
                return Ok(Answered { answer, repeated: sent_before });
            }
            if Instant::now() >= deadline {
                break;
            }
            sent_before = true;
            wait = WAIT_MAX.min(wait * 2);
        }
        Err(silence)
    }

    async fn listen<Q: Question>(&self, question: &mut Q, until: Instant, silence: &mut Silence) -> Option<Q::Answer> {
        let mut buffer = [0; MAX_PACKET];
        // The clock is asked each time round: a flood of garbage must not keep us here.
        while Instant::now() < until {
            match timeout_at(until, self.socket.recv(&mut buffer)).await {
                Err(_) => return None,
                Ok(Err(_)) => {
                    silence.refused = true;
                    sleep_until(until.min(Instant::now() + REFUSED_PAUSE)).await;
                }
                Ok(Ok(length)) => {
                    let answer = buffer.get(..length).and_then(|datagram| question.answer(datagram));
                    if answer.is_some() {
                        return answer;
                    }
                }
            }
        }
        None
    }
}
