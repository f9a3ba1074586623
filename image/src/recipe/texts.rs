//! The ramdisk's own files, word for word. They lie in `image/ramdisk` as they will lie below `/`. None is a template:
//! whatever comes from the network or the kernel command line stays data while a script handles it.

/// Path, mode, text.
#[rustfmt::skip]
pub const TEXTS: &[(&str, u32, &str)] = &[
    ("etc/inittab",                 0o644, include_str!("../../ramdisk/etc/inittab")),
    ("etc/passwd",                  0o644, include_str!("../../ramdisk/etc/passwd")),
    ("etc/shadow",                  0o600, include_str!("../../ramdisk/etc/shadow")),
    ("etc/group",                   0o644, include_str!("../../ramdisk/etc/group")),
    ("etc/hosts",                   0o644, include_str!("../../ramdisk/etc/hosts")),
    ("etc/nsswitch.conf",           0o644, include_str!("../../ramdisk/etc/nsswitch.conf")),
    ("etc/modprobe.d/ramdisk.conf", 0o644, include_str!("../../ramdisk/etc/modprobe.d/ramdisk.conf")),
    ("etc/multipath.conf",          0o644, include_str!("../../ramdisk/etc/multipath.conf")),
    ("etc/udev/rules.d/90-dhcp.rules", 0o644, include_str!("../../ramdisk/etc/udev/rules.d/90-dhcp.rules")),
    ("etc/acpi/PWRF/00000080",      0o755, include_str!("../../ramdisk/etc/acpi/PWRF/00000080")),
    ("etc/ramdisk/words",           0o644, include_str!("../../ramdisk/etc/ramdisk/words")),
    ("etc/ramdisk/boot",            0o755, include_str!("../../ramdisk/etc/ramdisk/boot")),
    ("etc/ramdisk/agent",           0o755, include_str!("../../ramdisk/etc/ramdisk/agent")),
    ("etc/ramdisk/console",         0o755, include_str!("../../ramdisk/etc/ramdisk/console")),
    ("etc/ramdisk/power-button",    0o755, include_str!("../../ramdisk/etc/ramdisk/power-button")),
    ("etc/ramdisk/link",            0o755, include_str!("../../ramdisk/etc/ramdisk/link")),
    ("etc/ramdisk/lease",           0o755, include_str!("../../ramdisk/etc/ramdisk/lease")),
    ("etc/ramdisk/rescue",          0o755, include_str!("../../ramdisk/etc/ramdisk/rescue")),
    ("usr/bin/sudo",                0o755, include_str!("../../ramdisk/usr/bin/sudo")),
    ("etc/ramdisk/shell",           0o755, include_str!("../../ramdisk/etc/ramdisk/shell")),
];
