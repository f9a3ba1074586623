//! Which drivers a deploy ramdisk has: network cards and storage controllers of servers and of the common hypervisors,
//! the file systems the agent reads, and what makes a console and a BMC work. No firmware files come along unless
//! the build is given some: without, the few cards that cannot start (some Broadcom and QLogic models) stay silent.

use crate::modules::Choice;

/// The choice for [`super::KERNEL`].
pub const DRIVERS: Choice = Choice { folders: FOLDERS, except: EXCEPT, names: NAMES };

#[rustfmt::skip]
const FOLDERS: &[&str] = &[
    // Network cards, and the PHY drivers some of them load by number.
    "kernel/drivers/net/ethernet",
    "kernel/drivers/net/phy",
    "kernel/drivers/net/mdio",
    "kernel/drivers/net/hyperv",
    // Storage controllers.
    "kernel/drivers/ata",
    "kernel/drivers/scsi",
    "kernel/drivers/message/fusion",
    "kernel/drivers/nvme/host",
    // The way to virtual media, keyboards and a BMC's network card.
    "kernel/drivers/usb/host",
    "kernel/drivers/usb/storage",
    "kernel/drivers/char/ipmi",
    // File systems that are in disk images and on config drives.
    "kernel/fs/nls",
];

/// Hardware no server has had for fifteen years, laptop cards, and tools for testing drivers.
#[rustfmt::skip]
const EXCEPT: &[&str] = &[
    "kernel/drivers/net/ethernet/3com/", "kernel/drivers/net/ethernet/8390/", "kernel/drivers/net/ethernet/adaptec/",
    "kernel/drivers/net/ethernet/alteon/", "kernel/drivers/net/ethernet/dec/", "kernel/drivers/net/ethernet/dlink/",
    "kernel/drivers/net/ethernet/fealnx", "kernel/drivers/net/ethernet/fujitsu/", "kernel/drivers/net/ethernet/natsemi/",
    "kernel/drivers/net/ethernet/packetengines/", "kernel/drivers/net/ethernet/rdc/", "kernel/drivers/net/ethernet/silan/",
    "kernel/drivers/net/ethernet/sis/", "kernel/drivers/net/ethernet/smsc/", "kernel/drivers/net/ethernet/sun/",
    "kernel/drivers/net/ethernet/tehuti/", "kernel/drivers/net/ethernet/ti/", "kernel/drivers/net/ethernet/via/",
    "kernel/drivers/net/ethernet/xircom/", "kernel/drivers/net/ethernet/agere/", "kernel/drivers/net/ethernet/jme",
    "kernel/drivers/net/ethernet/neterion/", "kernel/drivers/net/ethernet/stmicro/",
    "kernel/drivers/ata/pata_",
    "kernel/drivers/scsi/pcmcia/", "kernel/drivers/scsi/scsi_debug", "kernel/drivers/scsi/aic7xxx/",
    "kernel/drivers/scsi/advansys", "kernel/drivers/scsi/a100u2w", "kernel/drivers/scsi/atp870u",
    "kernel/drivers/scsi/dc395x", "kernel/drivers/scsi/dmx3191d", "kernel/drivers/scsi/initio",
    "kernel/drivers/scsi/qla1280", "kernel/drivers/scsi/qlogicfas408", "kernel/drivers/scsi/sym53c8xx_2/",
    "kernel/drivers/scsi/wd719x", "kernel/drivers/scsi/am53c974", "kernel/drivers/scsi/esp_scsi",
    "kernel/drivers/scsi/xen-scsifront", "kernel/drivers/scsi/myrb", "kernel/drivers/scsi/myrs",
    "kernel/drivers/scsi/BusLogic", "kernel/drivers/scsi/ips", "kernel/drivers/scsi/megaraid.ko",
    "kernel/drivers/scsi/bnx2fc/", "kernel/drivers/scsi/fcoe/", "kernel/drivers/scsi/st.ko", "kernel/drivers/scsi/ch.ko",
    "kernel/drivers/usb/storage/ums-",
    "kernel/fs/nls/mac-", "kernel/fs/nls/nls_koi", "kernel/fs/nls/nls_euc", "kernel/fs/nls/nls_cp9",
    "kernel/fs/nls/nls_cp12", "kernel/fs/nls/nls_cp7", "kernel/fs/nls/nls_cp86", "kernel/fs/nls/nls_cp87",
];

#[rustfmt::skip]
const NAMES: &[&str] = &[
    // Guests of the common hypervisors.
    "virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_rng", "virtio_console", "virtio_balloon",
    "vmxnet3", "xen-netfront", "xen-blkfront", "hv_vmbus", "hv_storvsc", "hyperv_keyboard", "hid_hyperv", "qemu_fw_cfg",
    // NVMe behind Intel's volume management; other block devices.
    "vmd", "loop", "mtip32xx", "sd_mod", "sr_mod", "sg",
    // A BMC that shows itself as a USB network card.
    "cdc_ether", "cdc_eem", "cdc_ncm", "rndis_host", "cdc_subset", "r8152", "ax88179_178a", "asix", "smsc95xx",
    // Links over links.
    "bonding", "8021q", "team", "team_mode_loadbalance", "team_mode_activebackup", "dummy", "af_packet",
    // Software RAID, device mapper, LVM.
    "md-mod", "raid0", "raid1", "raid10", "raid456", "linear", "dm-mod", "dm-multipath", "dm-service-time",
    "dm-round-robin", "dm-queue-length", "dm-snapshot", "dm-crypt", "dm-mirror", "dm-raid",
    // File systems.
    "ext4", "xfs", "btrfs", "vfat", "isofs", "udf", "squashfs", "overlay", "fuse", "efivarfs", "crc32c_generic",
    // Console, keyboard, power button.
    "usbhid", "hid-generic", "evdev", "button", "atkbd", "i8042", "uas", "usb-storage",
    // Counts of memory errors.
    "skx_edac", "i10nm_edac", "sb_edac", "ie31200_edac", "igen6_edac", "amd64_edac",
    // Serial numbers, clocks, chips other drivers stand on.
    "dmi-sysfs", "i2c-i801", "i2c-piix4", "lpc_ich", "intel_lpss_pci", "rtc-cmos", "iTCO_wdt", "i6300esb", "ipmi_watchdog",
];
