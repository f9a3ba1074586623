//! The agent's calls to the API: look-up until there is an answer, heartbeats.

use super::machine::{Body, lock};
use common::heartbeat::{Heartbeat, LookupReply};
use std::time::Duration;

/// The version that agents of today speak.
const VERSION: (&str, &str) = ("X-OpenStack-Ironic-API-Version", "1.109");
/// After a failure; real agents wait 5 to 10 s.
const PAUSE: Duration = Duration::from_millis(150);

/// Asks which node this machine is, for as long as it takes.
pub async fn lookup(body: &Body, api: &str) -> LookupReply {
    let url = format!("{}/v1/lookup", api.trim_end_matches('/'));
    loop {
        let asked = body.http.get(&url).header(VERSION.0, VERSION.1).query(&[("addresses", &body.mac)]).send().await;
        if let Ok(answer) = asked
            && answer.status().is_success()
            && let Ok(reply) = answer.json::<LookupReply>().await
        {
            let mut faults = lock(&body.faults);
            if faults.lost_lookups == 0 {
                return reply;
            }
            faults.lost_lookups -= 1;
            body.note("lost a look-up");
        }
        let slow = body.set_time("lookup");
        tokio::time::sleep(slow.unwrap_or(PAUSE)).await;
    }
}

/// One heartbeat; the status, or `None` when nobody answered.
pub async fn beat(body: &Body, api: &str, node: &str, beat: &Heartbeat) -> Option<u16> {
    let url = format!("{}/v1/heartbeat/{node}", api.trim_end_matches('/'));
    let sent = body.http.post(url).header(VERSION.0, VERSION.1).json(beat).send().await;
    sent.ok().map(|answer| answer.status().as_u16())
}
