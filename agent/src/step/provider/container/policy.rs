//! Which image is run with which options: the one place where that is decided.

use crate::config::container::{ContainerRules, options};
use serde_json::Value;

/// Prefixes that name an image of a registry. Others (`containers-storage:`, `docker-archive:`) name local things, and match nothing.
const TRANSPORTS: [&str; 2] = ["docker://", "oci://"];
/// Longest reference: 255 for the name, a tag, a digest.
const LONGEST: usize = 512;

/// What a step asks for.
pub struct Asked<'a> {
    pub image: &'a Value,
    pub pull: &'a Value,
    pub run: &'a Value,
    /// From the ramdisk itself, not from the network.
    pub trusted: bool,
}

/// What is run.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    pub image: String,
    pub pull: Vec<String>,
    pub run: Vec<String>,
}

/// Why nothing is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Params(String),
    #[error(
        "the container image {image} is not on the list of allowed ones ({allowed}); add it to [agent_containers]allowed_containers of the conductor, best by its digest"
    )]
    NotPermitted { image: String, allowed: String },
}

/// Settles image and options. Whoever may not choose the image may not choose the options either: `--privileged` or `-v /:/host`
/// would make a list of images worthless.
pub fn settle(asked: &Asked<'_>, rules: &ContainerRules) -> Result<Order, Refused> {
    let image = image(asked.image)?;
    let given = |value: &Value, key: &str, default: &[String]| -> Result<Vec<String>, Refused> {
        let list = options(value).map_err(|why| Refused::Params(format!("{key} {why}")))?;
        Ok(if list.is_empty() { default.to_vec() } else { list })
    };
    // Looked at in any case: an argument of a wrong type is told, whether it would be used or not.
    let pull = given(asked.pull, "pull_options", &rules.pull_options)?;
    let run = given(asked.run, "run_options", &rules.run_options)?;
    if asked.trusted || rules.allow_arbitrary_containers {
        return Ok(Order { image, pull, run });
    }
    if !rules.allowed_containers.iter().any(|allowed| plain(allowed) == image) {
        let allowed = match rules.allowed_containers.is_empty() {
            true => "none".into(),
            false => rules.allowed_containers.join(", "),
        };
        return Err(Refused::NotPermitted { image, allowed });
    }
    Ok(Order { image, pull: rules.pull_options.clone(), run: rules.run_options.clone() })
}

fn plain(reference: &str) -> &str {
    TRANSPORTS.iter().find_map(|prefix| reference.strip_prefix(prefix)).unwrap_or(reference)
}

/// A reference that no program can take for an option or for something local.
fn image(value: &Value) -> Result<String, Refused> {
    let wrong = |why: &str| Refused::Params(format!("container_url {why}"));
    let text =
        value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| wrong("must be a text that is not empty"))?;
    let plain = plain(text);
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    if plain.len() > LONGEST
        || !plain.bytes().all(sane)
        || !plain.starts_with(|first: char| first.is_ascii_alphanumeric())
    {
        return Err(wrong("is no reference to an image: name, tag or digest in letters, digits and ._-/:@+"));
    }
    Ok(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Asked, Order, Refused, settle};
    use crate::config::container::ContainerRules;
    use serde_json::{Value, json};

    fn ask(image: Value, run: Value, trusted: bool, rules: &ContainerRules) -> Result<Order, Refused> {
        settle(&Asked { image: &image, pull: &Value::Null, run: &run, trusted }, rules)
    }

    fn rules(allowed: &[&str]) -> ContainerRules {
        ContainerRules { allowed_containers: allowed.iter().map(|text| (*text).into()).collect(), ..Default::default() }
    }

    #[test]
    fn only_what_is_listed_word_for_word_is_run_and_with_the_operators_options() {
        let pinned = "quay.io/site/tool@sha256:0011";
        let rules = rules(&["docker://quay.io/site/tool@sha256:0011", "example.com/x:1"]);
        for good in [
            json!(pinned),
            json!(format!("docker://{pinned}")),
            json!(format!("oci://{pinned}")),
            json!("example.com/x:1"),
        ] {
            let order = ask(good, json!("--privileged -v /:/host"), false, &rules).unwrap();
            assert_eq!(order.run, ["--rm", "--network=host"], "a caller's options were taken");
        }
        for bad in [
            "example.com/x",
            "example.com/x:2",
            "EXAMPLE.com/x:1",
            "containers-storage:example.com/x:1",
            "example.com/x:1/y",
            "docker://oci://example.com/x:1",
        ] {
            let error = ask(json!(bad), Value::Null, false, &rules).unwrap_err();
            assert!(matches!(error, Refused::NotPermitted { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn nothing_can_be_smuggled_in_as_an_image() {
        let open = ContainerRules { allow_arbitrary_containers: true, ..Default::default() };
        for bad in [
            json!("--privileged"),
            json!(""),
            json!(null),
            json!(["a"]),
            json!("a b"),
            json!("a\nb"),
            json!("docker://-v"),
            json!("x".repeat(600)),
            json!("/bin/x"),
        ] {
            assert!(matches!(ask(bad.clone(), Value::Null, true, &open), Err(Refused::Params(_))), "{bad}");
        }
    }

    #[test]
    fn who_may_choose_the_image_may_choose_the_options() {
        let open = ContainerRules { allow_arbitrary_containers: true, ..Default::default() };
        let order = ask(json!("a/b"), json!("--privileged -t"), false, &open).unwrap();
        assert_eq!(order.run, ["--privileged", "-t"]);
        let order = ask(json!("a/b"), json!(["--a --b"]), true, &rules(&[])).unwrap();
        assert_eq!(order.run, ["--a", "--b"]);
        assert!(matches!(ask(json!("a/b"), json!({"x": 1}), true, &open), Err(Refused::Params(_))));
    }
}
