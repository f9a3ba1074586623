//! Asks a time server how far our clock is off (SNTP, RFC 4330). Sets nothing.
//!
//! A packet counts when it comes from the server that was asked, repeats the number that was sent (nobody off the way
//! can know it), and says that the server itself knows the time. The best of a few answers is the one with the
//! shortest way.

use crate::sys::text::clean;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PORT: u16 = 123;
const PACKET: usize = 48;
/// Time for one answer, answers wanted of one address, addresses tried of one name.
const PATIENCE: Duration = Duration::from_secs(2);
const SAMPLES: usize = 3;
const MAX_ADDRESSES: usize = 4;
/// Seconds from 1900 to 1970.
const FROM_1900: u64 = 2_208_988_800;
/// No time before this one is right: 2024-01-01. Nor one after 2200.
const EARLIEST: u64 = 1_704_067_200;
const LATEST: u64 = 7_258_118_400;
/// A server that knows its own time so badly is no help.
const MAX_ROOT_DISTANCE: u32 = 16 << 16;

/// Why no time was learned.
#[derive(Debug, thiserror::Error)]
pub enum SntpError {
    /// The option's value.
    #[error("`ntp_server`: `{0}` is neither an address nor a host name")]
    Name(String),
    /// Name resolution.
    #[error("the time server {server} has no address: {source}")]
    Resolve {
        /// Its name.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// No usable answer.
    #[error("the time server {server} gave no usable answer: {why}")]
    Answer {
        /// Its name.
        server: String,
        /// What was wrong with the last one.
        why: String,
    },
}

/// What one answer says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    /// The server's time when `at` was now.
    time: SystemTime,
    at: Instant,
    /// There and back.
    delay: Duration,
}

/// An address, or a name of at most 253 of the letters that the reference takes.
pub fn is_server_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_' | b'-');
    (1..=253).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-')
}

/// The time now, as `server` has it. Blocks for some seconds at most.
///
/// # Errors
/// [`SntpError`].
pub fn ask(server: &str) -> Result<SystemTime, SntpError> {
    ask_port(server, PORT, PATIENCE)
}

fn ask_port(server: &str, port: u16, patience: Duration) -> Result<SystemTime, SntpError> {
    if !is_server_name(server) {
        return Err(SntpError::Name(clean(server.as_bytes(), 100)));
    }
    let found = match server.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let resolve = |source| SntpError::Resolve { server: server.into(), source };
            (server, port).to_socket_addrs().map_err(resolve)?.take(MAX_ADDRESSES).collect()
        }
    };
    let mut why = "the name has no address".to_owned();
    for address in found {
        match best_of(address, patience) {
            Ok(sample) => return Ok(sample.time + sample.at.elapsed()),
            Err(cause) => why = format!("{address}: {cause}"),
        }
    }
    Err(SntpError::Answer { server: server.into(), why })
}

/// The answer with the shortest way of a few; one is enough.
fn best_of(address: SocketAddr, patience: Duration) -> Result<Sample, String> {
    let mut best: Option<Sample> = None;
    let mut last = String::new();
    for _ in 0..SAMPLES {
        match sample(address, patience) {
            Ok(sample) if best.is_none_or(|best| sample.delay < best.delay) => best = Some(sample),
            Ok(_) => {}
            // A server that refuses, or a dead one, is not asked again.
            Err(cause) => {
                last = cause;
                break;
            }
        }
    }
    best.ok_or(last)
}

fn sample(address: SocketAddr, patience: Duration) -> Result<Sample, String> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let text = |error: io::Error| error.to_string();
    let socket = UdpSocket::bind((any, 0)).map_err(text)?;
    socket.connect(address).map_err(text)?; // from now on the kernel drops what others send
    let number: u64 = rand::random();
    let mut packet = [0u8; PACKET];
    packet[0] = 4 << 3 | 3; // version 4, client
    packet[40..48].copy_from_slice(&number.to_be_bytes());
    let sent = Instant::now();
    socket.send(&packet).map_err(text)?;
    let deadline = sent + patience;
    let mut wrong = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(wrong.unwrap_or_else(|| format!("no answer within {} s", patience.as_secs_f64())));
        }
        socket.set_read_timeout(Some(left)).map_err(text)?;
        let mut answer = [0u8; 512];
        let length = match socket.recv(&mut answer) {
            Ok(length) => length,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            Err(error) => return Err(text(error)),
        };
        let (at, delay) = (Instant::now(), sent.elapsed());
        match read(answer.get(..length).unwrap_or_default(), number) {
            Ok((received, transmitted)) => {
                // What the server spent between the two is no way.
                let way = delay.saturating_sub(transmitted.duration_since(received).unwrap_or_default());
                return Ok(Sample { time: transmitted + way / 2, at, delay: way });
            }
            Err(Bad::Foreign) => wrong = Some("an answer to something else".into()),
            Err(Bad::Said(why)) => return Err(why),
        }
    }
}

/// Why an answer is no time.
#[derive(Debug)]
pub enum Bad {
    /// Not an answer to what was sent: the right one may still come.
    Foreign,
    /// The server's own word.
    Said(String),
}

/// When the server got the question and when it sent the answer.
///
/// # Errors
/// An answer to something else, or the server's refusal.
pub fn read(answer: &[u8], number: u64) -> Result<(SystemTime, SystemTime), Bad> {
    let Some(answer) = answer.first_chunk::<PACKET>() else { return Err(Bad::Foreign) };
    let word =
        |at: usize| answer.get(at..at + 4).map_or(0, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
    let stamp = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    let (leap, version, mode, stratum) = (answer[0] >> 6, answer[0] >> 3 & 7, answer[0] & 7, answer[1]);
    if stamp(24) != number || mode != 4 || !matches!(version, 3 | 4) {
        return Err(Bad::Foreign);
    }
    let said = |why: String| Err(Bad::Said(why));
    if stratum == 0 {
        return said(format!("it sends us away (kiss of death `{}`); ask another server", clean(&answer[12..16], 8)));
    }
    if leap == 3 || stratum > 15 {
        return said("it does not know the time itself".into());
    }
    if word(4) > MAX_ROOT_DISTANCE || word(8) > MAX_ROOT_DISTANCE {
        return said("it is more than 16 seconds away from any clock".into());
    }
    match (time(stamp(32)), time(stamp(40))) {
        (Some(received), Some(transmitted)) if transmitted >= received => Ok((received, transmitted)),
        _ => said("its time makes no sense".into()),
    }
}

/// An NTP time stamp as time; `None` for none at all and for what cannot be now. The 32 bits of seconds begin anew in 2036.
fn time(stamp: u64) -> Option<SystemTime> {
    let (seconds, fraction) = (stamp >> 32, stamp & 0xffff_ffff);
    let since_1900 = if seconds & 0x8000_0000 == 0 { seconds + (1 << 32) } else { seconds };
    let since_1970 = since_1900.checked_sub(FROM_1900)?;
    let nanoseconds = (fraction * 1_000_000_000) >> 32;
    let fits = stamp != 0 && (EARLIEST..LATEST).contains(&since_1970);
    fits.then(|| UNIX_EPOCH + Duration::from_secs(since_1970) + Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::{FROM_1900, PACKET, ask_port, is_server_name, read, time};
    use proptest::prelude::{any, prop, proptest};
    use std::net::UdpSocket;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    /// A server on the loop whose answers are made by `answer` from a right one.
    fn server(answer: impl Fn(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> u16 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut packet = [0u8; 512];
            for at in 0.. {
                let Ok((_, from)) = socket.recv_from(&mut packet) else { return };
                for answer in answer(at, right(&packet[40..48], 4_000_000_000)) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        port
    }

    /// An answer to the number, at so many seconds since 1970.
    fn right(number: &[u8], now: u64) -> Vec<u8> {
        let mut answer = vec![0u8; PACKET];
        (answer[0], answer[1]) = (4 << 3 | 4, 2);
        answer[24..32].copy_from_slice(number);
        let seconds = ((now + FROM_1900) as u32).to_be_bytes();
        answer[32..36].copy_from_slice(&seconds);
        answer[40..44].copy_from_slice(&seconds);
        answer
    }

    fn ask(port: u16) -> Result<u64, String> {
        let asked = ask_port("127.0.0.1", port, Duration::from_millis(300));
        asked.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_servers_time_is_taken_also_after_2036() {
        assert_eq!(ask(server(|_, answer| vec![answer])), Ok(4_000_000_000));
        let localhost = ask_port("localhost", server(|_, answer| vec![answer]), Duration::from_millis(300));
        assert!(localhost.is_ok(), "{localhost:?}");
    }

    #[test]
    fn forged_and_broken_answers_are_passed_over_for_the_right_one() {
        let port = server(|_, answer| {
            let mut forged = answer.clone();
            forged[24] ^= 1;
            let mut client = answer.clone();
            client[0] = 4 << 3 | 3;
            vec![vec![], vec![0; 500], forged, client, answer]
        });
        assert_eq!(ask(port), Ok(4_000_000_000));
        let forged_only = server(|_, mut answer| {
            answer[24] ^= 1;
            vec![answer]
        });
        assert!(ask(forged_only).unwrap_err().contains("an answer to something else"));
    }

    #[test]
    fn what_the_server_itself_says_ends_it() {
        for (change, text) in [
            (
                (|a| (a[1], a[12], a[13], a[14], a[15]) = (0, b'R', b'A', b'T', b'E')) as fn(&mut Vec<u8>),
                "kiss of death `RATE`",
            ),
            (|a| a[0] |= 0xc0, "does not know the time"),
            (|a| a[1] = 16, "does not know the time"),
            (|a| a[4] = 1, "16 seconds away"),
            (|a| a[32..48].fill(0), "makes no sense"),
            (|a| a[40..44].copy_from_slice(&[0x80, 0, 0, 0]), "makes no sense"),
        ] {
            let error = ask(server(move |_, mut answer| {
                change(&mut answer);
                vec![answer]
            }));
            assert!(error.as_ref().is_err_and(|error| error.contains(text)), "{text}: {error:?}");
        }
    }

    #[test]
    fn silence_and_refusal_end_in_time() {
        let begun = Instant::now();
        assert!(ask(server(|_, _| vec![])).unwrap_err().contains("no answer within"));
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(ask(closed).is_err());
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(
            ask(server(|at, answer| if at == 0 { vec![answer] } else { vec![] })),
            Ok(4_000_000_000),
            "one answer is enough"
        );
    }

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        for good in ["192.0.2.1", "2001:db8::1", "ntp.example", "pool_1"] {
            assert!(is_server_name(good), "{good}");
        }
        for bad in ["", "a b", "x;reboot", "$(id)", "-x", &"x".repeat(254)] {
            assert!(!is_server_name(bad) && ask_port(bad, 1, Duration::ZERO).is_err(), "{bad}");
        }
    }

    #[test]
    fn stamps_turn_over_in_2036() {
        let seconds = |stamp: u64| time(stamp).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds((1_735_689_600 + FROM_1900) << 32), Some(1_735_689_600));
        assert_eq!(seconds(1 << 32), Some((1 << 32) + 1 - FROM_1900), "7 February 2036");
        assert_eq!((seconds(0), seconds(0x8000_0000 << 32)), (None, None), "nothing, and 1968");
        assert!(
            time(0xec00_0000_8000_0000).is_some_and(|time: SystemTime| time
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .subsec_millis()
                == 500)
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), number: u64) {
            let _ = read(&bytes, number);
            let mut answer = right(&number.to_be_bytes(), 2_000_000_000);
            for (place, byte) in answer.iter_mut().skip(1).zip(&bytes) { *place ^= byte; }
            let _ = read(&answer, number);
        }
    }
}
