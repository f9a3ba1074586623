//! Fields of a node that its lessee, or a reader below the policy's threshold, sees only as a remark.

use super::field::View;
use super::out::Out;
use super::seen::target;
use crate::model::node::Node;
use crate::policy::may;
use serde::Serialize;
use serde_json::{Value, json};

/// Shows the field as the reader of the view may see it.
pub fn redacted(view: &View, node: &Node, field: &str, value: &impl Serialize, out: Out) {
    match remark(view, node, field) {
        None => out.put(value),
        Some(remark) => out.put(&remark),
    }
}

/// What the reader of the view sees in place of the field; `None`: he may see it.
fn remark(view: &View, node: &Node, field: &str) -> Option<Value> {
    // Without a reader the conductor itself reads.
    let reader = view.reader?;
    if may(reader, &format!("baremetal:node:get:{field}"), &target(node)) {
        return None;
    }
    Some(match field {
        "last_error" => json!("** Value Redacted - Requires baremetal:node:get:last_error permission. **"),
        "reservation" => json!("** Redacted - requires baremetal:node:get:reservation permission. **"),
        "driver_internal_info" => {
            json!({"content": "** Redacted - Requires baremetal:node:get:driver_internal_info permission. **"})
        }
        _ => json!({"content": format!("** Redacted - requires baremetal:node:get:{field} permission. **")}),
    })
}

#[cfg(test)]
mod tests {
    use super::super::version::Version;
    use super::*;
    use crate::policy::caller::{Credentials, Roles, Scope};

    #[test]
    fn a_lessee_sees_remarks_and_the_owner_the_fields() {
        let node = Node { owner: Some("o".into()), lessee: Some("l".into()), ..Node::default() };
        let token = |project: &str| Credentials {
            roles: Roles::named(["reader"]),
            scope: Scope::Project(project.into()),
            ..Credentials::default()
        };
        let (owner, lessee) = (token("o"), token("l"));
        for field in ["last_error", "reservation", "driver_info", "driver_internal_info"] {
            let seen = |reader| {
                let view = View { base: "", version: Version(115), host: "", reader };
                let mut text = Vec::new();
                redacted(&view, &node, field, &"secret", Out::Text(&mut text));
                String::from_utf8(text).unwrap()
            };
            assert!(seen(None).contains("secret") && seen(Some(&owner)).contains("secret"), "{field}");
            let remark = seen(Some(&lessee));
            assert!(!remark.contains("secret") && remark.contains(field), "{field}: {remark}");
        }
    }
}
