//! Which kernel arguments a ramdisk gets: the fixed ones, the operator's and the node's own, and the conductor's words.
//!
//! Agent-protocol section 17. The conductor's words come last: the agent takes the last of repeated keys, so a node's own
//! `kernel_append_params` cannot point the agent at another API.

use super::kernel_args::{BadKernelArgs, KernelArgs, KernelWord};
use url::Url;

/// Before everything else.
const FIXED: &str = "selinux=0 troubleshoot=0 text";

/// Stands for the configured default in a node's own value.
const DEFAULT_MARK: &str = "%default%";

/// `kernel_append_params` of a node: instance_info's, else driver_info's, else the option's; `%default%` stands for the
/// option's value.
pub fn append_params(
    option: &str,
    driver_info: Option<&str>,
    instance_info: Option<&str>,
) -> Result<KernelArgs, BadKernelArgs> {
    match instance_info.or(driver_info) {
        None => KernelArgs::parse(option),
        Some(own) => {
            // A short text with many marks must not grow without limit before its length is looked at.
            if own.len() > super::kernel_args::MAX_LINE {
                return Err(BadKernelArgs::TooLong(own.len()));
            }
            KernelArgs::parse(&own.replace(DEFAULT_MARK, option))
        }
    }
}

/// What the conductor adds for one ramdisk boot.
#[derive(Clone, Debug, Default)]
pub struct RamdiskWords<'a> {
    /// `ipa-api-url`: where the agent finds the API. None only for pure inspection.
    pub api_url: Option<&'a Url>,
    /// `ipa-inspection-callback-url`.
    pub inspection_callback_url: Option<&'a Url>,
    /// `ipa-debug=1`, unless the node has a value of its own.
    pub debug: bool,
    /// `ipa-collect-lldp=1`.
    pub collect_lldp: bool,
    /// `ipa-global-request-id`.
    pub global_request_id: Option<&'a str>,
    /// Further words, such as `[inspector]extra_kernel_params`.
    pub extra: Option<&'a KernelArgs>,
}

/// The line of a ramdisk, without `initrd=` and `BOOTIF=`, which the iPXE script adds for the machine that asks.
pub fn ramdisk_args(append: &KernelArgs, words: &RamdiskWords<'_>) -> Result<KernelArgs, BadKernelArgs> {
    let mut line = KernelArgs::parse(FIXED)?;
    line.extend(append);
    if let Some(extra) = words.extra {
        line.extend(extra);
    }
    if words.debug && !line.has("ipa-debug") {
        line.push(KernelWord::pair("ipa-debug", 1)?);
    }
    if words.collect_lldp && !line.has("ipa-collect-lldp") {
        line.push(KernelWord::pair("ipa-collect-lldp", 1)?);
    }
    if let Some(id) = words.global_request_id {
        line.push(KernelWord::pair("ipa-global-request-id", id)?);
    }
    if let Some(url) = words.inspection_callback_url {
        line.push(KernelWord::pair("ipa-inspection-callback-url", url)?);
    }
    if let Some(url) = words.api_url {
        // Without its trailing slash, as the reference writes it: agents append paths.
        line.push(KernelWord::pair("ipa-api-url", url.as_str().trim_end_matches('/'))?);
    }
    line.check_length()?;
    Ok(line)
}

/// The line of an instance that lives in memory: what every kernel gets here, and the instance's own words.
pub fn instance_args(append: &KernelArgs, own: Option<&str>) -> Result<KernelArgs, BadKernelArgs> {
    let mut line = KernelArgs::parse("root=/dev/ram0 text")?;
    line.extend(append);
    line.extend(&KernelArgs::parse(own.unwrap_or_default())?);
    line.check_length()?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTION: &str = "nofb vga=normal";

    #[test]
    fn the_node_wins_over_the_option_and_default_expands() {
        let line = |driver, instance| append_params(OPTION, driver, instance).unwrap().to_string();
        assert_eq!(line(None, None), OPTION);
        assert_eq!(line(Some("quiet"), None), "quiet");
        assert_eq!(line(Some("quiet"), Some("%default% debug")), "nofb vga=normal debug");
        assert_eq!(line(Some(""), None), "");
    }

    #[test]
    fn a_node_can_neither_break_out_nor_grow_the_line_nor_move_the_agent() {
        assert!(append_params(OPTION, None, Some("x\nshell")).is_err());
        assert!(matches!(append_params(OPTION, None, Some(&"%default%".repeat(200))), Err(BadKernelArgs::TooLong(_))));
        let append = append_params(OPTION, None, Some("ipa-api-url=http://evil ipa-debug=0")).unwrap();
        let api = Url::parse("http://172.22.0.1:6385/").unwrap();
        let words = RamdiskWords { api_url: Some(&api), debug: true, ..RamdiskWords::default() };
        assert_eq!(
            ramdisk_args(&append, &words).unwrap().to_string(),
            "selinux=0 troubleshoot=0 text ipa-api-url=http://evil ipa-debug=0 ipa-api-url=http://172.22.0.1:6385"
        );
    }

    #[test]
    fn inspection_words_and_request_id() {
        let callback = Url::parse("http://172.22.0.1:6385/v1/continue_inspection").unwrap();
        let words = RamdiskWords {
            inspection_callback_url: Some(&callback),
            collect_lldp: true,
            global_request_id: Some("req-1"),
            ..RamdiskWords::default()
        };
        assert_eq!(
            ramdisk_args(&KernelArgs::default(), &words).unwrap().to_string(),
            "selinux=0 troubleshoot=0 text ipa-collect-lldp=1 ipa-global-request-id=req-1 \
             ipa-inspection-callback-url=http://172.22.0.1:6385/v1/continue_inspection"
        );
        let words = RamdiskWords { global_request_id: Some("req 1\n"), ..RamdiskWords::default() };
        assert!(ramdisk_args(&KernelArgs::default(), &words).is_err());
    }
}
