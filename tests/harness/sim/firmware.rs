//! What a machine does when it gets power: its disk, or the script that the conductor's boot server has for its NIC.

use super::machine::Body;
use super::{agent, inventory};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two tries at a boot server that does not answer; iPXE waits 5 s.
const PAUSE: Duration = Duration::from_millis(100);
/// Tries, as iPXE has an end too.
const TRIES: u32 = 600;

/// One boot, from power to whatever runs.
pub async fn start(body: Arc<Body>, boot: CancellationToken, from_disk: bool) {
    if super::machine::lock(&body.faults).never_boots {
        return;
    }
    if from_disk {
        body.now_runs("disk");
        return;
    }
    let Some(script) = script(&body).await else { return };
    if let Some(iso) = script.lines().find(|line| line.starts_with("sanboot --no-describe http")).and_then(url) {
        if fetched(&body, iso).await {
            body.now_runs("iso");
        }
        return;
    }
    let Some(kernel) = script.lines().find(|line| line.trim_start().starts_with("kernel ")) else {
        body.now_runs("disk");
        return;
    };
    let words: Vec<&str> = kernel.split_whitespace().collect();
    let ramdisk = script.lines().find(|line| line.trim_start().starts_with("initrd "));
    for url in [Some(kernel), ramdisk].into_iter().flatten().filter_map(url) {
        if !fetched(&body, url).await {
            return;
        }
    }
    body.now_runs("ramdisk");
    let options: HashMap<&str, &str> = words.iter().filter_map(|word| word.split_once('=')).collect();
    if let Some(callback) = options.get("ipa-inspection-callback-url") {
        inventory::report(&body, callback, options.get("BOOTIF").copied()).await;
    }
    if let Some(api) = options.get("ipa-api-url") {
        agent::run(body, boot, (*api).to_owned()).await;
    }
}

fn url(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("http://"))
}

/// The machine's own script; a server that is being started again is waited for.
async fn script(body: &Body) -> Option<String> {
    let url = format!("{}/boot/mac/{}", body.boot_server, body.mac.replace(':', "-"));
    for _ in 0..TRIES {
        // A server that dies in the middle of its answer has not answered.
        if let Ok(answer) = body.http.get(&url).send().await
            && answer.status().is_success()
            && let Ok(script) = answer.text().await
        {
            return Some(script);
        }
        tokio::time::sleep(PAUSE).await;
    }
    body.note("no boot script");
    None
}

async fn fetched(body: &Body, url: &str) -> bool {
    for _ in 0..TRIES {
        match body.http.get(url).send().await {
            Ok(answer) if answer.status().is_success() => {
                if answer.bytes().await.is_ok() {
                    return true;
                }
            }
            // The node was given another boot meanwhile: iPXE would ask for its script again, here the next boot does.
            Ok(answer) if answer.status().as_u16() == 404 => {
                body.note("boot file refused");
                return false;
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    false
}
