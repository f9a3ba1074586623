//! What a BMC answers to each datagram, faults included.

use super::chassis::Chassis;
use super::commands::{INVALID_COMMAND, Request, public, run};
use super::crypto::Suite;
use super::faults::Faults;
use super::handshake::{Account, Session, read_open, refuse};
use super::packet::{Incoming, read, write_old, write_open};
use super::server::Seen;
use std::collections::HashMap;

/// All that a BMC is, behind the lock of its server.
pub(super) struct Inner {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) kg: Option<Vec<u8>>,
    pub(super) faults: Faults,
    pub(super) chassis: Box<dyn Chassis>,
    pub(super) sessions: HashMap<u32, Session>,
    pub(super) packets: u32,
    pub(super) opened: Vec<u8>,
    pub(super) refused: u32,
    pub(super) seen: Vec<Seen>,
    pub(super) last_sealed: Option<Vec<u8>>,
}

impl Inner {
    /// All datagrams that answer one.
    pub(super) fn datagram(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.packets += 1;
        let lost = self.faults.drop_every.is_some_and(|every| self.packets.is_multiple_of(every));
        if self.faults.dead || lost {
            return Vec::new();
        }
        if self.faults.drop_next > 0 {
            self.faults.drop_next -= 1;
            return Vec::new();
        }
        let Some(reply) = self.answer(datagram) else { return Vec::new() };
        if self.faults.lose_answers > 0 {
            self.faults.lose_answers -= 1;
            return Vec::new();
        }
        if !self.faults.garbage {
            return vec![reply];
        }
        let mut changed = reply.clone();
        if let Some(last) = changed.last_mut() {
            *last ^= 0x55;
        }
        let mut replies = vec![vec![0xff; 40], reply[..reply.len() / 2].to_vec(), Vec::new(), vec![6, 0, 0xff, 7, 6]];
        // Outside of a session nothing shows that a copy was changed; the handshake would rightly fail.
        if reply.get(4..6) == Some(&[6, 0xc0]) {
            replies.push(changed);
            replies.extend(self.last_sealed.replace(reply.clone()));
        }
        replies.push(reply);
        replies
    }

    fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        match read(datagram)? {
            Incoming::Old(message) => {
                let request = Request::read(message)?;
                if self.faults.no_capabilities {
                    return None;
                }
                let (code, data) = public(&request, self.kg.is_some())?;
                Some(write_old(&request.reply(code, &data)))
            }
            Incoming::Plus { kind: 0x10, payload, .. } => Some(write_open(0x11, &self.open(payload)?)),
            Incoming::Plus { kind: 0x12, payload, .. } => Some(write_open(0x13, &self.rakp_1(payload)?)),
            Incoming::Plus { kind: 0x14, payload, .. } => Some(write_open(0x15, &self.rakp_3(payload)?)),
            Incoming::Plus { kind: 0, session: 0, payload, .. } => {
                let request = Request::read(payload)?;
                let (code, data) = public(&request, self.kg.is_some())?;
                Some(write_open(0, &request.reply(code, &data)))
            }
            Incoming::Plus { kind, session, sequence, payload } => {
                self.in_session(datagram, kind, session, sequence, payload)
            }
        }
    }

    fn open(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let (tag, console_id, suite) = read_open(payload)?;
        let refused = |suite: &Suite| self.faults.refuse_suites.contains(&suite.id());
        let Some(suite) = suite.filter(|suite| !refused(suite)) else {
            return Some(refuse(tag, 0x11, console_id));
        };
        if self.faults.ignore_suites.contains(&suite.id()) {
            return None;
        }
        if self.faults.no_slots > 0 {
            self.faults.no_slots -= 1;
            return Some(refuse(tag, 0x01, console_id));
        }
        let session = Session::new(console_id, rand::random::<u32>().max(1), suite);
        let reply = session.opened(tag);
        self.sessions.insert(session.id, session);
        Some(reply)
    }

    fn rakp_1(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let id = managed_id(payload)?;
        let Inner { sessions, user, password, kg, faults, .. } = self;
        let account = account(user, password, kg, faults);
        if faults.ignore_users {
            return None;
        }
        sessions.get_mut(&id)?.rakp_1(payload, &account)
    }

    fn rakp_3(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let id = managed_id(payload)?;
        let Inner { sessions, user, password, kg, faults, .. } = self;
        let account = account(user, password, kg, faults);
        let session = sessions.get_mut(&id)?;
        match session.rakp_3(payload, &account)? {
            Ok(reply) => {
                match &session.keys {
                    Some(keys) => self.opened.push(keys.suite.id()),
                    None => self.refused += 1,
                }
                Some(reply)
            }
            Err(()) => {
                self.refused += 1;
                self.sessions.remove(&id);
                None
            }
        }
    }

    fn in_session(&mut self, datagram: &[u8], kind: u8, id: u32, sequence: u32, payload: &[u8]) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(&id)?;
        let message = session.keys.as_ref()?.open(datagram, kind, payload)?;
        if sequence <= session.seen {
            return None; // a console that counts wrong is not heard
        }
        session.seen = sequence;
        let request = Request::read(&message)?;
        let (code, data) = self.command(id, &request);
        let mut leaving = None;
        let session = if (request.netfn, request.command, code) == (6, 0x3c, 0) {
            leaving.insert(self.sessions.remove(&id)?)
        } else {
            self.sessions.get_mut(&id)?
        };
        session.sent += 1;
        Some(session.keys.as_ref()?.seal(session.console_id, session.sent, &request.reply(code, &data)))
    }

    fn command(&mut self, id: u32, request: &Request) -> (u8, Vec<u8>) {
        self.seen.push(Seen { netfn: request.netfn, command: request.command, data: request.data.clone() });
        if self.faults.busy > 0 && request.netfn == 0 {
            self.faults.busy -= 1;
            return (0xc0, Vec::new());
        }
        let level = self.sessions.get(&id).map_or(0, |session| session.level);
        match (request.netfn, request.command) {
            (6, 0x3b) => self.set_level(id, request.data.first().copied().unwrap_or(0)),
            (6, 0x3c) if request.data == id.to_le_bytes() => (0, Vec::new()),
            (6, 0x3c) => (0x87, Vec::new()),
            (0, 0x02 | 0x08) if level < 3 => (0xd4, Vec::new()),
            _ => match public(request, self.kg.is_some()) {
                Some(answer) => answer,
                None if request.netfn & 1 == 1 => (INVALID_COMMAND, Vec::new()),
                None => run(request, self.chassis.as_ref(), &self.faults),
            },
        }
    }

    fn set_level(&mut self, id: u32, level: u8) -> (u8, Vec<u8>) {
        if self.faults.level_limit != 0 && level > self.faults.level_limit {
            return (0x81, Vec::new());
        }
        match self.sessions.get_mut(&id) {
            Some(session) => {
                session.level = level.clamp(2, 4);
                (0, vec![session.level])
            }
            None => (0xff, Vec::new()),
        }
    }
}

fn managed_id(payload: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*payload.get(4..)?.first_chunk::<4>()?))
}

fn account<'a>(user: &'a str, password: &'a str, kg: &'a Option<Vec<u8>>, faults: &'a Faults) -> Account<'a> {
    Account { user, password: faults.password.as_deref().unwrap_or(password), kg: kg.as_deref(), level: 4 }
}
