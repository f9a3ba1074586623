//! What a Keystone says about a token, as the policy needs it.

use super::Proof;
use crate::policy::caller::{Credentials, Role, Roles, Scope};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Named {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct System {
    #[serde(default)]
    all: bool,
}

/// The `token` object of an answer; what nobody needs is not read.
#[derive(Deserialize)]
struct Token {
    user: Named,
    project: Option<Named>,
    system: Option<System>,
    domain: Option<Named>,
    #[serde(default)]
    roles: Vec<Named>,
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Body {
    token: Token,
}

/// What a token proves, and until when it does.
pub struct TokenInfo {
    /// For the policy.
    pub proof: Proof,
    /// Its end.
    pub expires: Option<Timestamp>,
}

/// Which project is the services' own, if their role counts everywhere there.
pub type ServiceProject = Option<String>;

impl TokenInfo {
    /// Out of the body of `GET /v3/auth/tokens`.
    ///
    /// # Errors
    /// A sentence for the log.
    pub fn read(body: serde_json::Value, services: &ServiceProject) -> Result<Self, String> {
        let Body { token } =
            serde_json::from_value(body).map_err(|error| format!("no token in the answer: {error}"))?;
        let roles = Roles::named(token.roles.iter().filter_map(|role| role.name.as_deref()));
        let project_name = token.project.as_ref().and_then(|project| project.name.clone());
        let scope = match (token.system, token.project, token.domain) {
            (Some(system), _, _) if system.all => Scope::System,
            (_, Some(Named { id: Some(id), .. }), _) if !id.is_empty() => Scope::Project(id),
            (_, _, Some(_)) => Scope::Domain,
            _ => Scope::None,
        };
        let elevated_service = roles.has(Role::Service) && services.is_some() && project_name == *services;
        let credentials = Credentials { trusted: false, roles, scope, elevated_service, user_id: token.user.id };
        Ok(TokenInfo { proof: Proof { credentials, user: token.user.name }, expires: token.expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scopes_and_roles_are_read_and_the_rest_is_left() {
        let read = |more: serde_json::Value, services: &ServiceProject| {
            let mut token = json!({"user": {"id": "u", "name": "ann", "domain": {}}, "methods": ["password"],
                "roles": [{"id": "1", "name": "service"}], "expires_at": "2030-01-01T00:00:00.000000Z"});
            token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            TokenInfo::read(json!({"token": token}), services).unwrap().proof.credentials
        };
        assert_eq!(read(json!({"system": {"all": true}}), &None).scope, Scope::System);
        assert_eq!(read(json!({"domain": {"id": "d"}}), &None).scope, Scope::Domain);
        assert_eq!(read(json!({}), &None).scope, Scope::None);
        let project = json!({"project": {"id": "p", "name": "service"}});
        assert!(!read(project.clone(), &None).elevated_service);
        assert!(read(project.clone(), &Some("service".into())).elevated_service);
        let seen = read(project, &Some("other".into()));
        assert!(!seen.elevated_service && !seen.trusted && seen.scope == Scope::Project("p".into()));
        assert!(TokenInfo::read(json!({"error": {}}), &None).is_err());
    }
}
