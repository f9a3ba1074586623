//! The line to one BMC, behind its lock: socket, session, numbers; one command at a time goes through it.

use super::bmc::Bmc;
use super::bridge::{Answer, Bridge, Call};
use super::command::{Command, close, privilege};
use super::completion::is_passing;
use super::error::IpmiError;
use super::info::Version;
use super::link::{Answered, Link, Pace, Question, Silence};
use super::login::{Capabilities, capabilities, login};
use super::old_login::login_old;
use super::session::Session;
use super::suite::Suite;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

/// Pause before a command is sent again that the BMC put off, doubled up to the second value.
const BUSY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Every session starts at this level (IPMI 2.0 section 22.18); a lower one need not be asked for.
const START_LEVEL: u8 = 2;
/// Wait for the answer to Close Session.
const FAREWELL: Duration = Duration::from_millis(300);
/// Packets sent in a session before it is taken for lost.
const TRIES: u32 = 3;
/// Sessions opened in vain for one command: a BMC that lets us in and is silent then will not speak in the next one.
const LOGINS: u32 = 3;

/// What one BMC's lock protects.
#[derive(Default)]
pub(super) struct Line {
    link: Option<Link>,
    pub(super) session: Option<Session>,
    sequence: u8,
    /// When the last command ended.
    pub(super) used: Option<Instant>,
    /// Asked once; the inner `None` is a BMC that stays silent.
    known: Option<Option<Capabilities>>,
    /// The suite that worked: the next session starts with it.
    suite: Option<u8>,
    pub(super) manufacturer: Option<u32>,
    /// A task is there that will close the session.
    pub(super) watched: bool,
}

impl Line {
    /// Does a command until `deadline`.
    pub(super) async fn call(
        &mut self,
        bmc: &Bmc,
        bridge: Bridge,
        command: &Command,
        deadline: Instant,
    ) -> Result<Vec<u8>, IpmiError> {
        if let Some(used) = self.used {
            sleep_until(deadline.min(used + bmc.options().min_command_interval)).await;
            if used.elapsed() > bmc.options().session_idle * 2 {
                self.session = None; // the BMC has forgotten it by now; asking in vain would cost more than a new one
            }
        }
        let mut pause = BUSY_PAUSE.0;
        let mut logins = 0;
        loop {
            logins += u32::from(self.session.is_none());
            self.ensure_session(bmc, deadline).await?;
            let tries = if command.once { 1 } else { TRIES };
            match self.ask(bridge, command, Pace { first: bmc.options().first_wait, tries }, deadline).await {
                Ok(answer) if answer.code == 0 => return Ok(answer.data),
                Ok(answer) if is_passing(answer.code) && Instant::now() + pause < deadline => {
                    debug!(bmc = %bmc.access().address, command = command.what, code = answer.code, "put off by the BMC");
                    sleep_until(Instant::now() + pause).await;
                    pause = BUSY_PAUSE.1.min(pause * 2);
                }
                Ok(answer) => return Err(refusal(&answer)),
                Err(_) if command.once => {
                    self.abandon().await;
                    return Err(IpmiError::Silent(
                        "no answer: it may have been done. It is not repeated, since twice could do harm".into(),
                    ));
                }
                Err(_) => {
                    self.abandon().await;
                    if logins >= LOGINS {
                        return Err(IpmiError::Silent(mute(bridge).into()));
                    }
                    if Instant::now() >= deadline {
                        return Err(IpmiError::Silent(format!(
                            "the BMC stopped answering; gave up after {} s. Check that it is alive",
                            bmc.options().command_retry_timeout.as_secs()
                        )));
                    }
                    debug!(bmc = %bmc.access().address, command = command.what, "session lost, logging in again");
                }
            }
        }
    }

    async fn ask(
        &mut self,
        bridge: Bridge,
        command: &Command,
        pace: Pace,
        deadline: Instant,
    ) -> Result<Answer, Silence> {
        self.sequence = (self.sequence + 1) & 0x3f;
        let call = Call {
            bridge,
            sequence: self.sequence,
            netfn: command.netfn,
            command: command.number,
            data: &command.data,
        };
        let (Some(link), Some(session)) = (&self.link, &mut self.session) else { return Err(Silence::default()) };
        let mut question = InSession { message: call.message(), call, session };
        link.ask(&mut question, pace, deadline).await.map(|Answered { answer, .. }| answer)
    }

    async fn ensure_session(&mut self, bmc: &Bmc, deadline: Instant) -> Result<(), IpmiError> {
        if self.session.is_some() {
            return Ok(());
        }
        let access = bmc.access();
        // A new socket each time: answers meant for the old session stay with the old one, and the name may have moved.
        let link = Link::open(&access.address, access.port, deadline).await?;
        let plus = access.version == Version::Plus;
        let known = match self.known {
            Some(known) => known,
            None => capabilities(&link, plus, access.level, deadline).await,
        };
        let session = match access.version {
            Version::Plus => login(&link, access, &self.suites(bmc), known, deadline).await?,
            Version::Old => login_old(&link, access, known, deadline).await?,
        };
        self.suite = session.suite();
        self.known = Some(known).filter(|known| plus || known.is_some());
        self.link = Some(link);
        self.session = Some(session);
        if access.level > START_LEVEL {
            self.raise_level(bmc, deadline).await?;
        }
        info!(bmc = %access.address, port = access.port, suite = self.suite, "IPMI session open");
        Ok(())
    }

    async fn raise_level(&mut self, bmc: &Bmc, deadline: Instant) -> Result<(), IpmiError> {
        let pace = Pace { first: bmc.options().first_wait, tries: TRIES };
        let failure = match self.ask(Bridge::No, &privilege(bmc.access().level), pace, deadline).await {
            Ok(answer) if answer.code == 0 => return Ok(()),
            Ok(Answer { code: 0x80..=0x82, .. }) => IpmiError::Login(
                "this user may not have the privilege level asked for: correct ipmi_priv_level or the user's rights"
                    .into(),
            ),
            Ok(answer) => refusal(&answer),
            Err(_) => IpmiError::Silent("the BMC opened a session and then stopped answering: try again".into()),
        };
        self.close().await;
        Err(failure)
    }

    /// The one of driver_info, or those of the options with the one that worked last time first.
    fn suites(&self, bmc: &Bmc) -> Vec<Suite> {
        if let Some(suite) = bmc.access().suite {
            return vec![suite];
        }
        let mut suites = bmc.options().cipher_suite_versions.clone();
        suites.sort_by_key(|suite| Some(suite.id) != self.suite);
        suites
    }

    /// Ends the session and waits a little for the answer. Nothing depends on it: BMCs forget unused sessions.
    pub(super) async fn close(&mut self) {
        self.leave(FAREWELL).await;
    }

    /// Ends a session that seems lost without waiting: if the BMC still has it, its slot is free again.
    async fn abandon(&mut self) {
        self.leave(Duration::ZERO).await;
    }

    async fn leave(&mut self, wait: Duration) {
        let Some(session) = &self.session else { return };
        let command = close(session.managed_id());
        let _ = self.ask(Bridge::No, &command, Pace { first: wait, tries: 1 }, Instant::now() + wait).await;
        // The socket goes too: with thousands of BMCs only those in use should hold one.
        (self.session, self.link) = (None, None);
    }
}

fn mute(bridge: Bridge) -> &'static str {
    match bridge {
        Bridge::No => {
            "the BMC lets us in and then does not answer to this command: reset the BMC or update its firmware"
        }
        _ => {
            "the controller behind the BMC does not answer: check the ipmi_target_ and ipmi_transit_ keys, and that it \
              has power"
        }
    }
}

/// A command in a session: each repetition has a number of its own, the answer has to match.
struct InSession<'a> {
    call: Call<'a>,
    message: Vec<u8>,
    session: &'a mut Session,
}

impl Question for InSession<'_> {
    type Answer = Answer;

    fn datagram(&mut self) -> Option<Vec<u8>> {
        self.session.seal(&self.message)
    }

    fn answer(&mut self, datagram: &[u8]) -> Option<Answer> {
        self.call.answer(&self.session.unseal(datagram)?)
    }
}

fn refusal(answer: &Answer) -> IpmiError {
    if answer.on_the_way {
        // The codes of Send Message that differ from the common ones all say the same.
        return IpmiError::Refused { code: if answer.code < 0xc0 { 0x83 } else { answer.code } };
    }
    IpmiError::Refused { code: answer.code }
}
