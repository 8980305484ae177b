//! What a token must be good for. Owns the rule that visitors count only where they are wanted.

use crate::identity::Identity;
use crate::refusal::Refusal;

/// What is required of a token besides that it counts. By default: that it is a person's, and meant for this service.
///
/// ```
/// use countersign_client::Require;
///
/// let reading = Require::new().scope("orders.read").role("staff");
/// let helping = Require::new().any_role(["support", "admin"]);
/// let browsing = Require::new().audience("shop").anonymous_allowed();
/// # drop((reading, helping, browsing));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    scopes: Vec<String>,
    roles: Vec<String>,
    any_roles: Vec<Vec<String>>,
    audience: Option<String>,
    anonymous: bool,
}

impl Require {
    /// A person's token that counts, and nothing more.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// That the token allows this. Of several all are required.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// That the person has this role. Of several all are required; where one of them is enough, see [`Self::any_role`].
    /// Visitors have no roles.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// That the person has one of these roles, as `roles` at a gateway means it. If there are none, nobody passes. Of several
    /// such lists, and of what [`Self::role`] names besides, all are required.
    #[must_use]
    pub fn any_role(mut self, roles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.any_roles.push(roles.into_iter().map(Into::into).collect());
        self
    }

    /// That the token is meant for this audience, in place of the verifier's own.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Takes visitors without an account as well.
    #[must_use]
    pub const fn anonymous_allowed(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(crate) fn audience_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.audience.as_deref().unwrap_or(own)
    }

    /// Holds somebody whose token counts to the rest.
    pub(crate) fn check(&self, identity: &Identity) -> Result<(), Refusal> {
        if identity.is_anonymous() && !self.anonymous {
            return Err(Refusal::Anonymous);
        }
        if let Some(scope) = self.scopes.iter().find(|scope| !identity.has_scope(scope)) {
            return Err(Refusal::Scope(scope.clone()));
        }
        if let Some(role) = self.roles.iter().find(|role| !identity.has_role(role)) {
            return Err(Refusal::Role(role.clone()));
        }
        match self.any_roles.iter().find(|roles| !roles.iter().any(|role| identity.has_role(role))) {
            Some(roles) => Err(Refusal::AnyRole(roles.clone())),
            None => Ok(()),
        }
    }
}
