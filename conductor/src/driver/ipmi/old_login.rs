//! Getting in with IPMI 1.5: capabilities, Get Session Challenge, Activate Session.

use super::completion;
use super::error::IpmiError;
use super::info::Access;
use super::link::{Ask, Link, Pace};
use super::login::Capabilities;
use super::message::{DIRECT, Response, netfn, request, response};
use super::old_session::{AuthType, OldSession};
use super::packet::{Old, Packet, decode, encode_old};
use super::session::Session;
use std::time::Duration;
use tokio::time::Instant;

const GET_CHALLENGE: u8 = 0x39;
const ACTIVATE: u8 = 0x3a;
const PACE: Pace = Pace { first: Duration::from_millis(500), tries: 3 };

/// Opens a session.
pub async fn login_old(
    link: &Link,
    access: &Access,
    known: Option<Capabilities>,
    deadline: Instant,
) -> Result<Session, IpmiError> {
    let Some(known) = known else {
        return Err(IpmiError::Silent(
            "no answer: check ipmi_address and ipmi_port, that IPMI over LAN is enabled, and that UDP reaches the BMC"
                .into(),
        ));
    };
    let Some(kind) = AuthType::best_of(known.old_types) else {
        return Err(IpmiError::Login(
            "the BMC offers none of the IPMI 1.5 authentication types MD5, password and none: set \
             ipmi_protocol_version to 2.0, or enable MD5 at the BMC"
                .into(),
        ));
    };
    let (temporary_id, challenge) = challenge(link, access, kind, deadline).await?;
    let ours = rand::random::<u32>().max(1);
    let mut data = vec![kind.number(), access.level];
    data.extend_from_slice(&challenge);
    data.extend_from_slice(&ours.to_le_bytes());
    let mut temporary = OldSession::temporary(kind, &access.password, temporary_id);
    let packet = temporary.seal(&request(DIRECT, 1, netfn::APP, ACTIVATE, &data));
    let mut question =
        Ask(|| packet.clone(), |datagram: &[u8]| take(&temporary.unseal_activation(datagram)?, ACTIVATE, activation));
    let answered = link.ask(&mut question, PACE, deadline).await.map_err(|_| {
        // A wrong password is met with silence by many BMCs: the packet's code does not hold, so it is dropped.
        IpmiError::Login("the BMC does not answer to Activate Session: check ipmi_username and ipmi_password".into())
    })?;
    let (id, next) = answered.answer.map_err(refusal)?;
    // Our first answer has the number we chose.
    Ok(Session::Old(temporary.activated(id, next.max(1), ours, known.unproven_answers)))
}

async fn challenge(
    link: &Link,
    access: &Access,
    kind: AuthType,
    deadline: Instant,
) -> Result<(u32, [u8; 16]), IpmiError> {
    let mut data = vec![kind.number()];
    data.extend_from_slice(access.user.as_bytes());
    data.resize(17, 0);
    let message = request(DIRECT, 0, netfn::APP, GET_CHALLENGE, &data);
    let old = Old { auth_type: 0, sequence: 0, session: 0, code: None, payload: &message };
    let mut question = Ask(
        || encode_old(&old),
        |datagram: &[u8]| match decode(datagram)? {
            Packet::Old(old) => take(old.payload, GET_CHALLENGE, |data| {
                let (id, rest) = data.split_first_chunk::<4>()?;
                Some((u32::from_le_bytes(*id), *rest.first_chunk::<16>()?))
            }),
            Packet::Plus(_) => None,
        },
    );
    let silent = |_| IpmiError::Silent("the BMC does not answer to Get Session Challenge: check ipmi_username".into());
    link.ask(&mut question, PACE, deadline).await.map_err(silent)?.answer.map_err(refusal)
}

/// Session id and the number our next packet has.
fn activation(data: &[u8]) -> Option<(u32, u32)> {
    let (_kind, rest) = data.split_first()?;
    let (id, rest) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*id), u32::from_le_bytes(*rest.first_chunk::<4>()?)))
}

fn take<T>(message: &[u8], command: u8, body: impl FnOnce(&[u8]) -> Option<T>) -> Option<Result<T, u8>> {
    let Response { code, data, .. } = response(message).filter(|reply| reply.command == command)?;
    if code == 0 { body(data).map(Ok) } else { Some(Err(code)) }
}

fn refusal(code: u8) -> IpmiError {
    IpmiError::Login(match code {
        0x81 => "the BMC does not know this user, or all its session slots are taken: correct ipmi_username".into(),
        0x82 => "the BMC does not allow the nameless user: set ipmi_username".into(),
        0x83 | 0x84 => "all session slots of the BMC are taken: close other IPMI sessions or reset the BMC".into(),
        0x85 | 0x86 => "this user may not have the privilege level asked for: correct ipmi_priv_level".into(),
        code => completion::text(code),
    })
}
