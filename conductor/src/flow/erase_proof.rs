//! The proof that an agent gives of an erase: verified with its pinned certificate, and kept in the node's history.

use crate::agent_client::signed;
use crate::claim::Claim;
use crate::flow::trouble::Trouble;
use crate::model::node::Node;
use crate::model::steps;
use common::command::CommandResult;
use common::erase_proof::{DiskProof, EraseProof, FORMAT, KEY, MAX_BYTES, SignedProof, canonical};
use common::step::Step;
use serde_json::{Value, json};

/// Disks named in the line of the history; the proof has them all.
const NAMED: usize = 8;

/// Takes the proof out of a step's result, if there is one, and writes it into the history. The caller saves.
///
/// # Errors
/// A proof that does not hold fails the step: nothing else says that the disks are erased.
pub fn keep(claim: &mut Claim, step: &Step, own: &CommandResult) -> Result<(), Trouble> {
    let Some(given) = own.command_result.as_ref().and_then(|result| result.get(KEY)).filter(|proof| !proof.is_null())
    else {
        return Ok(());
    };
    let label = steps::label(step);
    let (text, kept) = judge(&claim.node, &own.id, step, given).map_err(|why| {
        Trouble::Fail(format!(
            "the agent's proof of {label} does not hold: {why}. Nothing says that the disks are erased; look at the node, then clean it again"
        ))
    })?;
    claim.note_proof(format!("{label}: {text}"), kept);
    Ok(())
}

/// The line for people, and what is kept: document, signature, the certificate that verifies it, and whether it did.
fn judge(node: &Node, command: &str, step: &Step, given: &Value) -> Result<(String, Value), String> {
    let signed: SignedProof =
        serde_json::from_value(given.clone()).map_err(|error| format!("it cannot be read: {error}"))?;
    let message = canonical(&signed.document);
    if message.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, more than {MAX_BYTES}", message.len()));
    }
    let document: EraseProof =
        serde_json::from_value(signed.document.clone()).map_err(|error| format!("it cannot be read: {error}"))?;
    let expected = [
        ("format", &document.format, FORMAT),
        ("node_uuid", &document.node_uuid, &node.uuid.to_string()),
        ("command_id", &document.command_id, command),
        ("step", &document.step, step.step.as_str()),
    ];
    if let Some((name, found, wanted)) = expected.into_iter().find(|(_, found, wanted)| found.as_str() != *wanted) {
        return Err(format!("its {name} is `{}`, not `{wanted}`", found.chars().take(80).collect::<String>()));
    }
    let certificate = node.driver_internal_info.text("agent_verify_ca");
    let verified = match (certificate, &signed.signature) {
        (Some(certificate), Some(signature)) => {
            signed::verify(certificate, message.as_bytes(), signature)?;
            true
        }
        // Whoever has a key signs: a certificate without a signature is a proof from which it was taken.
        (Some(_), None) => return Err("it is not signed, though the agent has a certificate".into()),
        (None, _) => false,
    };
    let verdict = if verified { "proven by the agent's signature" } else { "not signed with a certificate known here" };
    let kept = json!({
        "document": signed.document, "signature": signed.signature, "certificate": certificate, "verified": verified,
    });
    Ok((format!("{}; {verdict}", summary(&document.disks)), kept))
}

fn summary(disks: &[DiskProof]) -> String {
    let shown = disks.iter().take(NAMED).map(|disk| {
        let serial = disk.serial.as_deref().map_or(String::new(), |serial| format!(" ({serial})"));
        format!("{}{serial} {}", disk.device, disk.method)
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if disks.len() > NAMED {
        text.push_str(&format!(", and {} more", disks.len() - NAMED));
    }
    if disks.is_empty() { "no disk was erased".into() } else { format!("{} disks erased: {text}", disks.len()) }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::model::node::Node;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use common::erase_proof::canonical;
    use common::step::Step;
    use rcgen::{CertificateParams, KeyPair};
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use serde_json::{Value, json};
    use uuid::Uuid;

    /// An agent's key and its self-signed certificate.
    struct Agent {
        key: KeyPair,
        certificate: String,
    }

    fn agent() -> Agent {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        Agent { key, certificate }
    }

    fn document(node: &Node) -> Value {
        let back = json!({"expected": "zeroes", "places": [[0, 4096]], "verdict": "pass"});
        let disk = json!({"device": "/dev/sda", "model": "M", "serial": "S1", "wwn": null, "size": 4096,
            "method": "ata-security-erase", "passes": 0, "notes": [], "started_at": 1, "ended_at": 2, "read_back": back});
        json!({"format": "wrought-erase-proof/1", "node_uuid": node.uuid, "command_id": "c1", "step": "erase_devices",
            "agent_version": "0.1.0", "started_at": 1, "ended_at": 2, "disks": [disk], "passed_over": {"/dev/fd0": "why"}})
    }

    impl Agent {
        fn signs(&self, document: &Value) -> Value {
            let random = SystemRandom::new();
            let key = self.key.serialize_der();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key, &random).unwrap();
            let value = BASE64.encode(pair.sign(&random, canonical(document).as_bytes()).unwrap());
            json!({"document": document, "signature": {"algorithm": "ecdsa-p256-sha256", "value": value}})
        }
    }

    fn node(certificate: Option<&str>) -> Node {
        let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
        if let Some(certificate) = certificate {
            node.driver_internal_info.insert("agent_verify_ca".into(), certificate.into());
        }
        node
    }

    fn step() -> Step {
        serde_json::from_value(json!({"step": "erase_devices", "interface": "deploy"})).unwrap()
    }

    #[test]
    fn an_honest_proof_is_kept_as_it_came() {
        let agent = agent();
        let node = node(Some(&agent.certificate));
        let proof = agent.signs(&document(&node));
        let (text, kept) = judge(&node, "c1", &step(), &proof).unwrap();
        assert_eq!(text, "1 disks erased: /dev/sda (S1) ata-security-erase; proven by the agent's signature");
        assert_eq!((&kept["document"], &kept["verified"]), (&proof["document"], &json!(true)));
        assert_eq!(kept["certificate"], agent.certificate.as_str());
    }

    #[test]
    fn whatever_is_changed_in_it_is_noticed() {
        let agent = agent();
        let node = node(Some(&agent.certificate));
        let honest = agent.signs(&document(&node));
        let changes: [(&str, Value); 6] = [
            ("/document/disks/0/serial", json!("S2")),
            ("/document/disks/0/method", json!("overwrite")),
            ("/document/disks/0/size", json!(8192)),
            ("/document/passed_over/~1dev~1fd0", json!("another reason")),
            ("/document/ended_at", json!(3)),
            ("/signature/algorithm", json!("ecdsa-p384-sha384")),
        ];
        for (place, value) in changes {
            let mut changed = honest.clone();
            *changed.pointer_mut(place).unwrap() = value;
            let why = judge(&node, "c1", &step(), &changed).unwrap_err();
            assert!(why.contains("not that of the agent's pinned certificate"), "{place}: {why}");
        }
        let mut added = honest.clone();
        added["document"]["remark"] = json!("a field that nobody knows is signed, too");
        assert!(judge(&node, "c1", &step(), &added).is_err());
        let stranger = self::agent().signs(&document(&node));
        assert!(judge(&node, "c1", &step(), &stranger).is_err(), "another key");
        let mut naked = honest;
        naked["signature"] = Value::Null;
        assert!(judge(&node, "c1", &step(), &naked).unwrap_err().contains("not signed"));
    }

    #[test]
    fn a_proof_of_another_node_run_or_step_proves_nothing() {
        let agent = agent();
        let (one, other) = (node(Some(&agent.certificate)), node(Some(&agent.certificate)));
        let proof = agent.signs(&document(&one));
        assert!(judge(&other, "c1", &step(), &proof).unwrap_err().contains("node_uuid"));
        assert!(judge(&one, "c2", &step(), &proof).unwrap_err().contains("command_id"));
        let metadata = Step { step: "erase_devices_metadata".into(), ..step() };
        assert!(judge(&one, "c1", &metadata, &proof).unwrap_err().contains("step"));
        assert!(judge(&one, "c1", &step(), &json!("proof")).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn without_a_certificate_it_is_kept_and_said_to_be_unproven() {
        let node = node(None);
        let unsigned = json!({"document": document(&node), "signature": null});
        let (text, kept) = judge(&node, "c1", &step(), &unsigned).unwrap();
        assert!(text.ends_with("not signed with a certificate known here"), "{text}");
        assert_eq!(kept["verified"], false);
    }
}
