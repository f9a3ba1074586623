//! `standby.*`: write an image by name instead of by step, tell what was written, end the ramdisk.

use super::call::{Call, Failure};
use super::ending::Ending;
use super::power::{End, flush};
use super::refused::Refused;
use crate::step;
use crate::stream::checksum;
use common::image_ref::ImageInfo;
use common::step::{Step, StepKind};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How long a power-off waits for its own answer to leave. The conductor copes with a lost one, so this is not long.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// `image_info` must be one.
pub fn check_image(params: &Map<String, Value>) -> Result<(), Refused> {
    let refuse = |why: &str| Err(Refused::Params(format!("`image_info` {why}")));
    let Some(info) = params.get("image_info") else { return refuse("is missing") };
    match serde_json::from_value::<ImageInfo>(info.clone()) {
        Err(cause) => refuse(&format!("cannot be read: {cause}")),
        Ok(info) if info.id.is_empty() || info.id.contains(['/', '\\']) => refuse("has an `id` that is no plain name"),
        Ok(info) if info.urls.is_empty() => refuse("has no `urls`"),
        // Whether MD5 is allowed is known when the command runs.
        Ok(info) => {
            checksum::choose(&info, true).map(drop).or_else(|why| refuse(&format!("has no usable checksum: {why}")))
        }
    }
}

/// The write_image step under its old name.
pub fn prepare_image(call: &Call) -> Result<Value, Failure> {
    let mut args = Map::new();
    for key in ["image_info", "configdrive"] {
        if let Some(value) = call.params.get(key) {
            args.insert(key.into(), value.clone());
        }
    }
    let step: Step = serde_json::from_value(json!({"step": "write_image", "interface": "deploy", "args": args}))
        .map_err(|cause| Failure::execution(cause.to_string()))?;
    let context = call.context();
    let result = step::execute(StepKind::Deploy, &step, &context)?;
    // The step's result carries the text as `{"result": "prepare_image: image (..) .."}`; the name comes before it again on the way out.
    let text = result.get("result").or(Some(&result)).and_then(Value::as_str).unwrap_or_default();
    Ok(text.strip_prefix("prepare_image: ").unwrap_or(text).into())
}

/// The bootc step under its other name.
pub fn execute_bootc_install(call: &Call) -> Result<Value, Failure> {
    let context = call.context();
    let result = step::execute_bootc_install(&call.params, &context)?;
    let text = result.get("result").and_then(Value::as_str).unwrap_or_default();
    Ok(text.strip_prefix("execute_bootc_install: ").unwrap_or(text).into())
}

/// What the last written image's partitions are.
pub fn partition_uuids(_: &Call) -> Result<Value, Failure> {
    Ok(step::partition_uuids())
}

/// Boot entries for the system that was written.
pub fn install_bootloader(call: &Call) -> Result<Value, Failure> {
    let context = call.context();
    Ok(step::install_bootloader(&call.params, &context)?)
}

/// Everything to disk.
pub fn sync(call: &Call) -> Result<Value, Failure> {
    flush(call.agent.facts().rules().allow_erase)?;
    Ok(Value::Null)
}

/// Off.
pub fn power_off(call: &Call) -> Result<Value, Failure> {
    end(call, End::PowerOff)
}

/// Restart.
pub fn run_image(call: &Call) -> Result<Value, Failure> {
    end(call, End::Reboot)
}

/// Not here: an installed system is next, and what this program holds must be gone before. `main` ends the machine when
/// everything else has ended.
fn end(call: &Call, end: End) -> Result<Value, Failure> {
    call.agent.0.power.check()?;
    // A disk that cannot be flushed must not keep the machine on: the conductor would cut the power a little later anyway.
    if let Err(failure) = flush(call.agent.facts().rules().allow_erase) {
        tracing::error!(error = failure.text(), "not everything was written before the end");
    }
    call.agent.0.board.wait_until_answered(&call.id, ANSWER_TIME);
    tracing::info!(?end, "the ramdisk ends here");
    call.agent.end(Ending::Machine(end));
    Ok(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::check_image;
    use serde_json::{Value, json};

    #[test]
    fn an_image_that_cannot_be_verified_is_refused_at_once() {
        let check = |info: Value| check_image(json!({ "image_info": info }).as_object().unwrap());
        let sha256 = "0".repeat(64);
        check(json!({"id": "x", "urls": ["http://192.0.2.1/x"], "checksum": sha256})).unwrap();
        check(json!({"id": "x", "urls": ["http://192.0.2.1/x"], "checksum": "0".repeat(32)})).unwrap();
        for (info, word) in [
            (json!({"id": "x", "urls": ["http://192.0.2.1/x"]}), "no usable checksum"),
            (json!({"id": "x", "urls": ["http://192.0.2.1/x"], "checksum": "abc"}), "no usable checksum"),
            (json!({"id": "a/b", "urls": ["http://192.0.2.1/x"], "checksum": sha256}), "no plain name"),
            (json!({"id": "a\\b", "urls": ["http://192.0.2.1/x"], "checksum": sha256}), "no plain name"),
            (json!({"id": "x", "urls": [], "checksum": sha256}), "no `urls`"),
            (json!(5), "cannot be read"),
        ] {
            let refused = check(info.clone()).unwrap_err();
            assert!(refused.code() == 400 && refused.to_string().contains(word), "{info}: {refused}");
        }
        assert!(check_image(&serde_json::Map::new()).unwrap_err().to_string().contains("is missing"));
    }
}
