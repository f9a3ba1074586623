//! What a list may show. Lists of the store ask for it as an argument of its own: it cannot be forgotten.

use super::caller::Credentials;
use super::check::{Target, may};

/// Which nodes, and what belongs to nodes, somebody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Everything: readers of the whole site, and the conductor itself.
    Everything,
    /// What the project owns or has on lease.
    Project(String),
    /// Nothing.
    Nothing,
}

impl Visible {
    /// To whom `list_all` is allowed sees everything; a project sees its own.
    ///
    /// `kind` is the resource of the list as rules name it: `node`, `port`, `portgroup`, `volume`, `allocation`, `runbook`.
    pub fn to(who: &Credentials, kind: &str) -> Self {
        if may(who, &format!("baremetal:{kind}:list_all"), &Target::NONE) {
            return Visible::Everything;
        }
        match who.project() {
            Some(project) if may(who, &format!("baremetal:{kind}:list"), &Target::NONE) => {
                Visible::Project(project.to_owned())
            }
            _ => Visible::Nothing,
        }
    }

    /// Is the target among it? For what is not listed by the store, such as events.
    pub fn shows(&self, target: &Target) -> bool {
        match self {
            Visible::Everything => true,
            Visible::Project(project) => [target.owner, target.lessee].contains(&Some(project.as_str())),
            Visible::Nothing => false,
        }
    }

    /// The project that a query must be narrowed to; `None` when all is shown.
    pub fn project(&self) -> Option<&str> {
        match self {
            Visible::Everything => None,
            Visible::Project(project) => Some(project),
            // No project has an empty id.
            Visible::Nothing => Some(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::{Roles, Scope};
    use super::*;

    #[test]
    fn only_readers_of_the_site_see_everything() {
        let token = |scope, role: &str| Credentials { roles: Roles::named([role]), scope, ..Credentials::default() };
        let mine = || Scope::Project("p".into());
        for kind in ["node", "port", "portgroup", "volume", "allocation", "runbook"] {
            assert_eq!(Visible::to(&token(Scope::System, "reader"), kind), Visible::Everything, "{kind}");
            assert_eq!(Visible::to(&token(mine(), "reader"), kind), Visible::Project("p".into()), "{kind}");
            assert_eq!(Visible::to(&token(Scope::None, "reader"), kind), Visible::Nothing, "{kind}");
            assert_eq!(Visible::to(&token(mine(), "wizard"), kind), Visible::Nothing, "{kind}");
        }
        assert_eq!(Visible::to(&token(Scope::System, "reader"), "dragon"), Visible::Nothing);
    }
}
