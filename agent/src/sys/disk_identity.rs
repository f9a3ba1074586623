//! Who a disk is: model, serials, world wide names, bus. From udev where it ran, else from sysfs itself.

use crate::sys::sysfs::{MAX_ATTRIBUTE, Roots};
use crate::sys::text::clean_or_none;
use crate::sys::udev_db::{Properties, decode};
use crate::sys::vpd;

/// Everything that can name a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// As the disk says.
    pub model: Option<String>,
    /// `ATA`, `0x1af4`, ...
    pub vendor: Option<String>,
    /// Every serial known; the first is the one shown.
    pub serials: Vec<String>,
    /// Every world wide name known; the first is the one shown.
    pub wwns: Vec<String>,
    /// The name with its vendor's part.
    pub wwn_with_extension: Option<String>,
    /// The vendor's part alone.
    pub wwn_vendor_extension: Option<String>,
    /// `0:0:0:0`, SCSI only.
    pub hctl: Option<String>,
    /// `sata`, `nvme`, `sas`, `usb`, `fc`, `iscsi`, `virtio`, `mmc`.
    pub tran: Option<String>,
}

impl Identity {
    /// What this one does not know, the other one may; names of both are kept, these first.
    pub fn or(self, other: Self) -> Self {
        let both = |own: Vec<String>, others: Vec<String>| unique(own.into_iter().chain(others).collect());
        Self {
            model: self.model.or(other.model),
            vendor: self.vendor.or(other.vendor),
            serials: both(self.serials, other.serials),
            wwns: both(self.wwns, other.wwns),
            wwn_with_extension: self.wwn_with_extension.or(other.wwn_with_extension),
            wwn_vendor_extension: self.wwn_vendor_extension.or(other.wwn_vendor_extension),
            hctl: self.hctl.or(other.hctl),
            tran: self.tran.or(other.tran),
        }
    }
}

/// Collects what udev and sysfs say about the block device `name`.
///
/// The order of preference is lsblk's, so that the values equal those which operators wrote into root device hints.
pub fn identify(roots: &Roots, name: &str, udev: &Properties) -> Identity {
    let folder = format!("/sys/class/block/{name}");
    let page = |number: &str| roots.bytes(format!("{folder}/device/vpd_pg{number}"), MAX_ATTRIBUTE).ok().flatten();
    let unit = page("83").and_then(|page| vpd::world_wide_name(&page));
    let known = |names: &[&str]| names.iter().filter_map(|name| udev.get(*name).cloned()).collect::<Vec<_>>();

    let mut serials = known(&["SCSI_IDENT_SERIAL", "ID_SCSI_SERIAL", "ID_SERIAL_SHORT", "DM_SERIAL_SHORT"]);
    serials.extend(known(&["ID_SERIAL", "DM_SERIAL"]));
    serials.extend(roots.text(format!("{folder}/device/serial")));
    serials.extend(roots.text(format!("{folder}/serial")));
    serials.extend(page("80").and_then(|page| vpd::serial(&page)));
    serials.extend(usb_serial(roots, &folder));

    let mut wwns = known(&["ID_WWN_WITH_EXTENSION", "DM_WWN_WITH_EXTENSION", "ID_WWN", "DM_WWN"]);
    wwns.extend(unit.iter().flat_map(|unit| [unit.with_extension.clone(), unit.name.clone()]));
    wwns.extend(roots.text(format!("{folder}/wwid")));
    let wwid = roots.text(format!("{folder}/device/wwid"));
    wwns.extend(wwid.and_then(|wwid| Some(format!("0x{}", wwid.strip_prefix("naa.")?))));

    let first = |names: &[&str]| known(names).into_iter().next();
    let encoded = first(&["ID_MODEL_ENC"]).map(|model| decode(&model)).filter(|model| !model.is_empty());
    let spaced = || first(&["ID_MODEL", "DM_MODEL"]).and_then(|model| plain(&model.replace('_', " ")));
    Identity {
        model: encoded.or_else(spaced).or_else(|| roots.text(format!("{folder}/device/model"))),
        vendor: roots.text(format!("{folder}/device/vendor")),
        serials: unique(serials),
        wwns: unique(wwns),
        wwn_with_extension: first(&["ID_WWN_WITH_EXTENSION", "DM_WWN_WITH_EXTENSION"])
            .or_else(|| unit.as_ref().map(|unit| unit.with_extension.clone())),
        wwn_vendor_extension: first(&["ID_WWN_VENDOR_EXTENSION", "DM_WWN_VENDOR_EXTENSION"])
            .or_else(|| unit.and_then(|unit| unit.vendor_extension)),
        hctl: roots.entries(format!("{folder}/device/scsi_device")).into_iter().next(),
        tran: transport(roots, name, &folder).map(str::to_owned),
    }
}

fn plain(text: &str) -> Option<String> {
    clean_or_none(text.as_bytes(), 256)
}

fn unique(values: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

/// The folders above a disk say how it is attached.
fn transport(roots: &Roots, name: &str, folder: &str) -> Option<&'static str> {
    let place = roots.real(folder)?;
    let parts: Vec<&str> = place.iter().filter_map(|part| part.to_str()).collect();
    let numbered = |prefix: &str| {
        let rest = parts.iter().filter_map(|part| part.strip_prefix(prefix));
        rest.clone().any(|rest| rest.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
    };
    if name.starts_with("nvme") {
        return Some("nvme");
    }
    if name.starts_with("mmcblk") {
        return Some("mmc");
    }
    [("usb", "usb"), ("ata", "sata"), ("end_device-", "sas"), ("rport-", "fc"), ("session", "iscsi")]
        .into_iter()
        .find(|(prefix, _)| numbered(prefix))
        .map(|(_, word)| word)
        // Behind a virtio *SCSI* controller the disks are SCSI disks of no known bus.
        .or_else(|| (roots.link_name(format!("{folder}/device/subsystem"))? == "virtio").then_some("virtio"))
}

/// The serial of the USB device above the disk; the pages of USB bridges are often empty.
fn usb_serial(roots: &Roots, folder: &str) -> Option<String> {
    let place = roots.real(folder)?;
    let device = place.ancestors().find(|above| roots.exists(above.join("idVendor")))?;
    roots.text(device.join("serial"))
}
