//! What an operator of Ironic needs beside the files: which options name them. Pure text.

/// Names of kernel, initramfs and ISO: those of the ramdisks that Ironic's own builders make.
pub const NAMES: [&str; 3] = ["ironic-python-agent.kernel", "ironic-python-agent.initramfs", "ironic-python-agent.iso"];
/// The file with the options.
pub const NOTE: &str = "ironic.txt";
/// Digests, in the form that `sha256sum -c` reads.
pub const SUMS: &str = "SHA256SUMS";
/// Ironic's parameters do not reach the command line of an ISO that it did not make itself. With this word the agent
/// reads them from the virtual floppy or USB stick that Ironic puts them on.
pub const ISO_WORD: &str = "boot_method=vmedia";

/// How to use the files, digests included. `files` are names and SHA-256 digests.
pub fn note(files: &[(String, String)]) -> String {
    let [kernel, initramfs, iso] = NAMES;
    format!(
        "How to use this ramdisk with Ironic. DIR is where these files lie; check them with `sha256sum -c {SUMS}`.

Network boot (boot interfaces ipxe, pxe, http-ipxe, http), and redfish-virtual-media where Ironic builds the ISO itself
(that one also needs `[conductor] bootloader`, an EFI system partition with your distribution's boot loader):

    # ironic.conf
    [conductor]
    deploy_kernel = file://DIR/{kernel}
    deploy_ramdisk = file://DIR/{initramfs}
    rescue_kernel = file://DIR/{kernel}
    rescue_ramdisk = file://DIR/{initramfs}
    file_url_allowed_paths = /var/lib/ironic,DIR
    [pxe]
    kernel_append_params = console=tty0 console=ttyS0,115200 quiet

    # or for one node
    baremetal node set NODE --driver-info deploy_kernel=file://DIR/{kernel} \\
        --driver-info deploy_ramdisk=file://DIR/{initramfs}

redfish-virtual-media with the ready ISO (BIOS and UEFI; Ironic's parameters come on a second virtual medium):

    baremetal node set NODE --driver-info deploy_iso=http://SERVER/{iso} --driver-info config_via_removable=true

`ipa-api-url`, tokens and the rest are passed by Ironic; nothing has to be built in.

{}",
        sums(files)
    )
}

/// The text of [`SUMS`].
pub fn sums(files: &[(String, String)]) -> String {
    files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{NAMES, note, sums};

    #[test]
    fn the_note_names_every_file_and_its_digest() {
        let files: Vec<(String, String)> = NAMES.iter().map(|name| ((*name).to_owned(), "ab".repeat(32))).collect();
        let text = note(&files);
        assert!(text.ends_with(&sums(&files)) && !text.contains("{"), "{text}");
        assert!(NAMES.iter().all(|name| text.contains(&format!("/{name}"))), "{text}");
    }
}
