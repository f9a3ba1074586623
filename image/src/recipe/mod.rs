//! What goes into the ramdisk: tables and nothing else. To add a program: its row in [`PROGRAMS`], its package in
//! [`PACKAGES`] (and those of its libraries; a build names the library that is missing).

pub mod drivers;
pub mod texts;

/// The meta-package whose kernel is used: the full one, with every server driver as a signed module.
pub const KERNEL: &str = "linux-image-amd64";
/// How the real kernel package's name begins.
pub const KERNEL_PREFIX: &str = "linux-image-";

/// Packages whose files go into the ramdisk or the ISO. The kernel comes on top.
#[rustfmt::skip]
pub const PACKAGES: &[&str] = &[
    "busybox-static",      // init, shell, DHCP client, acpid
    "udev",                // device names, coldplug
    "kmod",                // modprobe, for the kernel's own requests
    "e2fsprogs", "libext2fs2", "libcom-err2", "libuuid1", // mke2fs: scratch space of partition images
    "dmidecode",           // the inspection collector dmi-decode
    "mdadm",               // software RAID
    "multipath-tools", "kpartx", "dmsetup", // disks that are reached over several paths
    "libdevmapper1.02.1", "libaio1", "liburcu8", "libsystemd0", "liblz4-1", "libgcrypt20", "libgpg-error0", // their libraries
    "ca-certificates",     // roots for https image servers
    "libc6", "libgcc-s1", "libudev1", "libblkid1", // the agent's libraries
    "libkmod2", "libacl1", "libcap2", "libselinux1", "libpcre2-8-0", "libzstd1", "liblzma5", "libssl3", // udev's, kmod's
    "dropbear-bin", "openssh-sftp-server", // how people come in once a rescue is finished
    "libtomcrypt1", "libtommath1", "libgmp10", "libcrypt1", "zlib1g", // dropbear's libraries
    "isolinux", "syslinux-common", // the ISO's BIOS boot loader
    "grub-efi-amd64-bin",  // the ISO's UEFI boot loader
];

/// Programs by their path in the ramdisk and the package's path they come from. Their libraries follow by themselves.
#[rustfmt::skip]
pub const PROGRAMS: &[(&str, &str)] = &[
    ("usr/bin/busybox",           "bin/busybox"),
    ("usr/bin/udevadm",           "bin/udevadm"),
    ("usr/lib/udev/ata_id",       "lib/udev/ata_id"),
    ("usr/lib/udev/scsi_id",      "lib/udev/scsi_id"),
    ("usr/lib/udev/cdrom_id",     "lib/udev/cdrom_id"),
    ("usr/bin/kmod",              "bin/kmod"),
    ("usr/sbin/mke2fs",           "sbin/mke2fs"),
    ("usr/sbin/dmidecode",        "usr/sbin/dmidecode"),
    ("usr/sbin/mdadm",            "sbin/mdadm"),
    ("usr/sbin/multipath",        "sbin/multipath"),
    ("usr/sbin/multipathd",       "sbin/multipathd"),
    ("usr/sbin/kpartx",           "sbin/kpartx"),  // partitions of a map; udev runs it
    ("usr/sbin/dmsetup",          "sbin/dmsetup"), // the other side of multipath's waiting for udev
    ("usr/sbin/dropbear",         "usr/sbin/dropbear"),
    ("usr/lib/openssh/sftp-server", "usr/lib/openssh/sftp-server"),
];

/// Libraries the agent asks for that no program above does. They stand here so that the part of the ramdisk that does
/// not change with the agent holds them.
pub const LIBRARIES: &[&str] = &["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libudev.so.1", "libblkid.so.1"];

/// Where libraries lie in Debian packages, and in the ramdisk.
pub const LIBRARY_FOLDERS: &[&str] = &["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "lib"];

/// Plain files of packages that are taken as they are.
#[rustfmt::skip]
pub const FILES: &[&str] = &[
    "lib/udev/rules.d/50-udev-default.rules",
    "lib/udev/rules.d/55-dm.rules",
    "lib/udev/rules.d/56-dm-mpath.rules",
    "lib/udev/rules.d/56-dm-parts.rules",
    "lib/udev/rules.d/60-block.rules",
    "lib/udev/rules.d/60-cdrom_id.rules",
    "lib/udev/rules.d/60-kpartx.rules",
    "lib/udev/rules.d/60-persistent-storage-dm.rules",
    "lib/udev/rules.d/60-persistent-storage.rules",
    "lib/udev/rules.d/63-md-raid-arrays.rules", // names of arrays; the rules that assemble them stay out
    "lib/udev/rules.d/73-special-net-names.rules",
    "lib/udev/rules.d/75-net-description.rules",
    "lib/udev/rules.d/80-drivers.rules",
    "lib/udev/rules.d/80-net-setup-link.rules",
    "lib/udev/rules.d/95-dm-notify.rules",
    // How multipath asks whether a path works, and which one is best. Without `alua` and `const` it makes no map at all.
    "lib/udev/kpartx_id",
    "lib/multipath/libchecktur.so", "lib/multipath/libcheckdirectio.so", "lib/multipath/libcheckreadsector0.so",
    "lib/multipath/libcheckrdac.so", "lib/multipath/libcheckemc_clariion.so", "lib/multipath/libcheckhp_sw.so",
    "lib/multipath/libprioconst.so", "lib/multipath/libprioalua.so", "lib/multipath/libprioana.so",
    "lib/multipath/libpriosysfs.so", "lib/multipath/libpriordac.so", "lib/multipath/libprioemc.so",
    "lib/multipath/libprioontap.so", "lib/multipath/libpriohp_sw.so", "lib/multipath/libpriohds.so",
    "lib/multipath/libpriodatacore.so", "lib/multipath/libprioiet.so", "lib/multipath/libprioweightedpath.so",
    "lib/systemd/network/73-usb-net-by-mac.link",
    "lib/systemd/network/99-default.link",
];

/// The folder of `ca-certificates` whose files make the bundle.
pub const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";
/// Where every TLS client looks for the bundle.
pub const CERTIFICATE_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Empty folders, with their modes.
#[rustfmt::skip]
pub const FOLDERS: &[(&str, u32)] = &[
    ("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755), ("tmp", 0o1777), ("root", 0o700), ("mnt", 0o755),
    ("etc/ironic-python-agent.d", 0o755), ("etc/ipa-rescue-config", 0o700), ("etc/dropbear", 0o700),
];

/// Links: where, and to what.
#[rustfmt::skip]
pub const LINKS: &[(&str, &str)] = &[
    ("init",                       "usr/bin/busybox"),
    ("usr/lib/systemd/systemd-udevd", "../../bin/udevadm"),
    ("usr/sbin/modprobe",          "../bin/kmod"),
    ("usr/sbin/insmod",            "../bin/kmod"),
    ("usr/sbin/rmmod",             "../bin/kmod"),
    ("usr/sbin/modinfo",           "../bin/kmod"),
    ("usr/sbin/lsmod",             "../bin/kmod"),
    ("etc/resolv.conf",            "../run/resolv.conf"),
    ("var/run",                    "../run"),
    ("var/log",                    "../run/log"), // the agent packs what is there into the log bundle
    ("usr/lib/sftp-server",        "openssh/sftp-server"),
    ("etc/mtab",                   "../proc/self/mounts"),
];

/// The parts of busybox that get a name in `/usr/bin`: what the scripts use, and what a person at the console needs.
#[rustfmt::skip]
pub const APPLETS: &[&str] = &[
    "acpid", "ash", "basename", "cat", "chmod", "cp", "cttyhack", "cut", "date", "dd", "df", "dmesg", "du", "echo", "env",
    "false", "find", "free", "getty", "grep", "halt", "head", "hexdump", "hostname", "hwclock", "id", "ifconfig", "init",
    "ip", "kill", "killall", "less", "ln", "login", "ls", "md5sum", "mkdir", "mknod", "more", "mount", "mv", "nc", "netstat", "nslookup", "ping",
    "poweroff", "ps", "pwd", "readlink", "reboot", "rm", "rmdir", "sed", "seq", "setsid", "sh", "sha256sum", "sleep",
    "sort", "stat", "stty", "sync", "tail", "tee", "test", "top", "touch", "tr", "true", "udhcpc", "umount", "uname",
    "uniq", "uptime", "vi", "wc", "wget", "which", "xargs", "zcat",
];
