//! Who asks: what a request proved about its sender, whatever the way of proving it.

/// The roles that rules know. A set; other roles of a token mean nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

/// One role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything in its scope.
    Admin,
    /// Between admin and member.
    Manager,
    /// Uses machines.
    Member,
    /// Looks.
    Reader,
    /// Another service.
    Service,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Admin, Role::Manager, Role::Member, Role::Reader, Role::Service];

    /// As identity services write it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Manager => "manager",
            Role::Member => "member",
            Role::Reader => "reader",
            Role::Service => "service",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Roles {
    /// Out of names, in any case; unknown names are left out.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut roles = Roles::default();
        for name in names {
            for role in Role::ALL {
                if role.name().eq_ignore_ascii_case(name) {
                    roles.0 |= role.bit();
                }
            }
        }
        roles
    }

    /// Admin implies manager, manager implies member, member implies reader: as a Keystone sets itself up. For
    /// identity providers that know of no implied roles.
    pub fn with_implied(mut self) -> Self {
        for (role, implied) in
            [(Role::Admin, Role::Manager), (Role::Manager, Role::Member), (Role::Member, Role::Reader)]
        {
            if self.has(role) {
                self.0 |= implied.bit();
            }
        }
        self
    }

    /// Is it among them?
    pub fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }
}

/// Where the roles of a token count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nowhere.
    #[default]
    None,
    /// The whole site.
    System,
    /// In a project: its id.
    Project(String),
    /// In a domain: no rule here knows domains.
    Domain,
}

/// What a request proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Everything is allowed: `noauth` and `http_basic` know no roles.
    pub trusted: bool,
    /// Which roles.
    pub roles: Roles,
    /// And where.
    pub scope: Scope,
    /// The `service` role in the project that is configured for services (`rbac_service_role_elevated_access`).
    pub elevated_service: bool,
    /// The identity service's id of the user.
    pub user_id: Option<String>,
}

impl Credentials {
    /// The project that the token is for.
    pub fn project(&self) -> Option<&str> {
        match &self.scope {
            Scope::Project(id) => Some(id),
            _ => None,
        }
    }
}

/// Who asks: for the policy, for logs, history and limits. The default may do nothing.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// `req-<uuid>`.
    pub request_id: String,
    /// Name for people.
    pub user: Option<String>,
    /// What was proved.
    pub credentials: Credentials,
}

impl Caller {
    /// Somebody who may do everything.
    pub fn trusted(request_id: impl Into<String>, user: Option<String>) -> Self {
        let credentials = Credentials { trusted: true, ..Credentials::default() };
        Caller { request_id: request_id.into(), user, credentials }
    }

    /// The project that the caller asks for.
    pub fn project(&self) -> Option<&str> {
        self.credentials.project()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_roles_and_strange_ones_nothing() {
        let roles = Roles::named(["Admin", "wizard"]);
        assert!(roles.has(Role::Admin) && !roles.has(Role::Reader));
        assert!(roles.with_implied().has(Role::Reader) && !roles.with_implied().has(Role::Service));
        assert_eq!(Roles::named(["wizard", ""]), Roles::default());
        assert!(!Roles::named(["reader"]).with_implied().has(Role::Member));
    }
}
