//! Indexes and manifests: which of several images fits this machine, and which blob is the disk.

use super::reference::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is understood, best first.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// The annotation that machine images carry (podman machine, and Ironic's documentation), and which kind is fetched first: raw
/// needs no tables. What a kind is not known here is no disk.
const DISK_TYPES: &[(&str, u32)] = &[("raw", 1), ("applehv", 2), ("qcow2", 3), ("qemu", 4)];

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "schemaVersion")]
    version: u32,
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
    #[serde(default)]
    layers: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: Option<String>,
}

/// Where a document leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// An index: to this manifest.
    Manifest(Digest),
    /// A manifest: to this blob.
    Layer {
        /// Of the blob.
        digest: Digest,
        /// Bytes.
        size: u64,
    },
}

/// Reads an index or a manifest and chooses for a machine of `arch`, as Rust names it.
///
/// # Errors
/// What is wrong, to follow "the manifest of X".
pub fn read(body: &[u8], arch: &str) -> Result<Choice, String> {
    let document: Document = serde_json::from_slice(body).map_err(|cause| format!("is not understood: {cause}"))?;
    if document.version != 2 {
        return Err(format!("has schemaVersion {}; 2 is known", document.version));
    }
    let digest =
        |entry: &Entry| Digest::parse(&entry.digest).ok_or("names a digest that is no sha256 or sha512".to_owned());
    match (&document.manifests, &document.layers) {
        (Some(manifests), None) => {
            let mut fitting: Vec<_> = manifests.iter().filter_map(|entry| Some((rank(entry, arch)?, entry))).collect();
            fitting.sort_by_key(|(rank, _)| *rank);
            match fitting.first() {
                Some((_, entry)) => digest(entry).map(Choice::Manifest),
                None => Err(format!("has {} images, none of them a disk for {arch}", manifests.len())),
            }
        }
        (None, Some(layers)) => match &layers[..] {
            [layer] => Ok(Choice::Layer { digest: digest(layer)?, size: layer.size }),
            many => Err(format!("has {} layers; a disk image has one (this may be a container image)", many.len())),
        },
        _ => Err("is neither an index nor a manifest".into()),
    }
}

/// How well an entry of an index fits; None if not at all.
fn rank(entry: &Entry, arch: &str) -> Option<u32> {
    let architecture = entry.platform.as_ref().and_then(|platform| platform.architecture.as_deref());
    // Go's names are the specification's; registries have the kernel's, too.
    let fits = |name: &str| match arch {
        "x86_64" => matches!(name, "amd64" | "x86_64"),
        "aarch64" => matches!(name, "arm64" | "aarch64"),
        other => name == other,
    };
    if !architecture.is_none_or(fits) {
        return None;
    }
    match entry.annotations.as_ref().and_then(|all| all.get("disktype")) {
        Some(kind) => DISK_TYPES.iter().find(|row| row.0 == kind).map(|row| row.1),
        None => Some(100),
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, read};
    use proptest::prelude::{any, proptest};
    use serde_json::{Value, json};

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn chosen(document: &Value, arch: &str) -> Result<String, String> {
        read(document.to_string().as_bytes(), arch).map(|choice| match choice {
            Choice::Manifest(digest) => digest.to_string(),
            Choice::Layer { digest, size } => format!("{digest} {size}"),
        })
    }

    #[test]
    fn the_image_of_this_machine_and_the_best_kind_are_chosen() {
        let entry = |letter, arch: &str, kind: Option<&str>| {
            let notes = kind.map(|kind| json!({"disktype": kind})).unwrap_or(json!({}));
            json!({"digest": digest(letter), "size": 1, "platform": {"architecture": arch, "os": "linux"}, "annotations": notes})
        };
        let index = json!({"schemaVersion": 2, "manifests": [
            entry('a', "arm64", Some("raw")), entry('b', "amd64", Some("qcow2")), entry('c', "x86_64", Some("raw")),
            entry('d', "amd64", Some("wsl")), entry('e', "amd64", None)]});
        assert_eq!(chosen(&index, "x86_64").unwrap(), digest('c'));
        assert_eq!(chosen(&index, "aarch64").unwrap(), digest('a'));
        assert!(chosen(&index, "riscv64").unwrap_err().contains("none of them a disk for riscv64"));
    }

    #[test]
    fn a_disk_is_one_layer() {
        let manifest = |layers: Value| json!({"schemaVersion": 2, "config": {}, "layers": layers});
        let layer = json!({"digest": digest('a'), "size": 77, "mediaType": "application/x-qemu-disk"});
        assert_eq!(chosen(&manifest(json!([layer])), "x86_64").unwrap(), format!("{} 77", digest('a')));
        assert!(chosen(&manifest(json!([layer, layer])), "x86_64").unwrap_err().contains("2 layers"));
        assert!(chosen(&manifest(json!([])), "x86_64").is_err());
        assert!(chosen(&json!({"schemaVersion": 1, "layers": [layer]}), "x86_64").is_err());
        let evil = json!({"digest": "sha256:../../etc", "size": 1});
        assert!(chosen(&manifest(json!([evil])), "x86_64").unwrap_err().contains("digest"));
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_verdict(bytes in any::<Vec<u8>>()) {
            assert!(read(&bytes, "x86_64").is_err());
        }
    }
}
