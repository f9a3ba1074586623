//! Getting in with IPMI 2.0: capabilities, Open Session, RAKP 1 to 4; suite after suite, until the deadline.

use super::error::IpmiError;
use super::handshake::{
    Exchange, Rakp2, Refused, is_passing, is_suite_refusal, open_request, open_response, rakp_1, rakp_2, rakp_4,
    status_text,
};
use super::info::Access;
use super::link::{Answered, Ask, Link, Pace, Silence};
use super::message::{DIRECT, netfn, request, response};
use super::packet::{Old, Packet, decode, encode_old, encode_plus_open, payload};
use super::session::{PlusSession, Session};
use super::suite::Suite;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The BMC finds the user by name alone, not by name and level.
const NAME_ONLY: u8 = 0x10;
/// Pause after a refusal that passes.
const PASSING_PAUSE: Duration = Duration::from_millis(500);
/// Get Channel Authentication Capabilities: some BMCs never answer it, so this is all the time it gets.
const CAPABILITIES: Pace = Pace { first: Duration::from_millis(300), tries: 2 };
const GET_CAPABILITIES: u8 = 0x38;
/// "This channel", with the data of version 2.0.
const CHANNEL_PLUS: u8 = 0x8e;
/// "This channel".
const CHANNEL: u8 = 0x0e;

/// What the BMC says about itself before anybody is let in. Nothing in it is proven: it only explains failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Authentication types of IPMI 1.5, as bits.
    pub old_types: u8,
    /// Answers of a 1.5 session may be unproven.
    pub unproven_answers: bool,
    /// Version 2.0 is spoken.
    pub plus: bool,
    /// A K_g is set.
    pub kg: bool,
}

/// Asks for them; `None` when the BMC stays silent.
pub async fn capabilities(link: &Link, plus: bool, level: u8, deadline: Instant) -> Option<Capabilities> {
    let message = request(DIRECT, 0, netfn::APP, GET_CAPABILITIES, &[if plus { CHANNEL_PLUS } else { CHANNEL }, level]);
    let old = Old { auth_type: 0, sequence: 0, session: 0, code: None, payload: &message };
    let mut question = Ask(|| encode_old(&old), |datagram: &[u8]| take_capabilities(datagram));
    Some(link.ask(&mut question, CAPABILITIES, deadline).await.ok()?.answer)
}

fn take_capabilities(datagram: &[u8]) -> Option<Capabilities> {
    let Packet::Old(old) = decode(datagram)? else { return None };
    let reply = response(old.payload).filter(|reply| reply.command == GET_CAPABILITIES && reply.code == 0)?;
    let &[_channel, types, status, extended] = reply.data.first_chunk::<4>()?;
    Some(Capabilities {
        old_types: types & 0x3f,
        unproven_answers: status & 0x10 != 0,
        plus: types & 0x80 != 0 && extended & 0x02 != 0,
        kg: status & 0x20 != 0,
    })
}

/// Why one attempt ended.
enum Stop {
    Silent(Silence),
    /// Silent after it had opened a session.
    SilentAfterOpen,
    Suite(u8),
    Passing(u8),
    Fatal(String),
}

/// Tries the suites in order until one lets us in. A refused suite is not tried again, a wrong password ends it at once:
/// repeating it would lock the user out.
pub async fn login(
    link: &Link,
    access: &Access,
    suites: &[Suite],
    known: Option<Capabilities>,
    deadline: Instant,
) -> Result<Session, IpmiError> {
    let mut left: Vec<Suite> = suites.to_vec();
    let mut pace = Pace { first: Duration::from_millis(500), tries: 2 };
    let mut last = Stop::Silent(Silence::default());
    for round in 0.. {
        if left.is_empty() || Instant::now() >= deadline {
            break;
        }
        let suite = left[round % left.len()];
        match attempt(link, access, suite, known, pace, deadline).await {
            Ok(session) => return Ok(session),
            Err(Stop::Fatal(text)) => return Err(IpmiError::Login(text)),
            Err(stop) => {
                match stop {
                    Stop::Suite(_) => left.retain(|other| *other != suite),
                    Stop::Passing(_) => sleep_until(deadline.min(Instant::now() + PASSING_PAUSE)).await,
                    _ => pace.first = (pace.first * 2).min(Duration::from_secs(4)),
                }
                last = stop;
            }
        }
    }
    Err(explain(&last, suites, known))
}

fn explain(last: &Stop, suites: &[Suite], known: Option<Capabilities>) -> IpmiError {
    let tried: Vec<_> = suites.iter().map(|suite| suite.id.to_string()).collect();
    let tried = tried.join(" and ");
    match last {
        Stop::Suite(status) => IpmiError::Login(format!("{}; tried suite {tried}", status_text(*status))),
        Stop::Passing(status) => IpmiError::Login(status_text(*status)),
        Stop::Fatal(text) => IpmiError::Login(text.clone()),
        Stop::SilentAfterOpen => IpmiError::Login(
            "the BMC opens a session and does not answer to the user: check ipmi_username, and that the user may log in \
             over LAN"
                .into(),
        ),
        Stop::Silent(_) if known.is_some_and(|known| !known.plus) => IpmiError::Login(
            "the BMC speaks IPMI 1.5 only: update its firmware, or set ipmi_protocol_version to 1.5".into(),
        ),
        Stop::Silent(_) if known.is_some() => IpmiError::Login(format!(
            "the BMC answers, but not to Open Session with cipher suite {tried}: set ipmi_cipher_suite to one it has \
             enabled, and check that IPMI over LAN is enabled for the user"
        )),
        Stop::Silent(silence) if silence.refused => IpmiError::Silent(
            "the host answers that nothing listens there: check ipmi_address and ipmi_port, and that IPMI over LAN is \
             enabled"
                .into(),
        ),
        Stop::Silent(_) => IpmiError::Silent(
            "no answer: check ipmi_address and ipmi_port, that IPMI over LAN is enabled, and that UDP reaches the BMC"
                .into(),
        ),
    }
}

async fn attempt(
    link: &Link,
    access: &Access,
    suite: Suite,
    known: Option<Capabilities>,
    pace: Pace,
    deadline: Instant,
) -> Result<Session, Stop> {
    let tag: u8 = rand::random();
    let mut exchange = Exchange {
        suite,
        password: &access.password,
        kg: access.kg.as_ref(),
        console_id: rand::random::<u32>().max(1),
        console_random: rand::random(),
        managed_id: 0,
        role: access.level | NAME_ONLY,
        user: access.user.as_bytes(),
    };
    let request = open_request(tag, access.level, exchange.console_id, suite);
    let opened = talk(link, payload::OPEN_REQUEST, payload::OPEN_RESPONSE, &request, pace, deadline, |bytes| {
        open_response(bytes, tag, exchange.console_id)
    });
    let (managed_id, algorithms) = accept(opened.await?)?;
    if algorithms != suite.algorithm_codes() {
        return Err(Stop::Suite(0x11)); // it offers another one than was asked for: never less than asked
    }
    exchange.managed_id = managed_id;

    let first = rakp_1(tag, &exchange);
    let reply =
        talk(link, payload::RAKP_1, payload::RAKP_2, &first, pace, deadline, |bytes| rakp_2(bytes, tag, &exchange));
    let reply = reply.await.map_err(after_open)?;
    let repeated = reply.repeated;
    let reply: Rakp2 = accept(reply)?;
    if !exchange.proves_password(&reply) {
        let farewell = exchange.rakp_3_refusing(tag, 0x0f);
        let once = Pace { first: Duration::ZERO, tries: 1 };
        let _ = talk(link, payload::RAKP_3, payload::RAKP_4, &farewell, once, deadline, |_| None::<()>).await;
        return Err(Stop::Fatal(
            "the BMC has another password for this user: correct ipmi_password or ipmi_username".into(),
        ));
    }

    let third = exchange.rakp_3(tag, &reply);
    let last =
        talk(link, payload::RAKP_3, payload::RAKP_4, &third, pace, deadline, |bytes| rakp_4(bytes, tag, &exchange));
    let proof = match last.await.map_err(after_open)? {
        // The BMC made two RAKP 2 out of a repeated RAKP 1 and we answered the older: start anew.
        Answered { answer: Err(Refused(0x0f)), .. } if repeated => return Err(Stop::Passing(0x02)),
        other => accept(other)?,
    };
    match exchange.keys(&reply, &proof) {
        Some(keys) => Ok(Session::Plus(PlusSession::new(suite, keys, exchange.console_id, managed_id))),
        None => Err(Stop::Fatal(wrong_kg(access, known).into())),
    }
}

fn after_open(stop: Stop) -> Stop {
    if matches!(stop, Stop::Silent(_)) { Stop::SilentAfterOpen } else { stop }
}

fn wrong_kg(access: &Access, known: Option<Capabilities>) -> &'static str {
    match (&access.kg, known) {
        (Some(_), _) => "the BMC has another K_g: correct ipmi_hex_kg_key, or remove it if the BMC has none",
        (None, Some(known)) if known.kg => "the BMC has a K_g set: put it into ipmi_hex_kg_key",
        (None, _) => "the BMC's last proof is wrong: it may have a K_g, which belongs into ipmi_hex_kg_key",
    }
}

fn accept<T>(answered: Answered<Result<T, Refused>>) -> Result<T, Stop> {
    answered.answer.map_err(|Refused(status)| match status {
        status if is_suite_refusal(status) => Stop::Suite(status),
        status if is_passing(status) => Stop::Passing(status),
        status => Stop::Fatal(status_text(status)),
    })
}

/// One message of the handshake and its answer.
async fn talk<T>(
    link: &Link,
    kind: u8,
    answer_kind: u8,
    bytes: &[u8],
    pace: Pace,
    deadline: Instant,
    mut take: impl FnMut(&[u8]) -> Option<T>,
) -> Result<Answered<T>, Stop> {
    let answer = |datagram: &[u8]| match decode(datagram)? {
        Packet::Plus(plus) if plus.payload_type == answer_kind => take(plus.payload),
        _ => None,
    };
    link.ask(&mut Ask(|| encode_plus_open(kind, bytes), answer), pace, deadline).await.map_err(Stop::Silent)
}
