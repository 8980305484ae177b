//! A Nextcloud as a destination: each person whose identity is verified gets a user there, who is shut out while the account
//! is blocked and goes when it is deleted. Owns what an account's state means for its user.
//!
//! An event only says that something about an account has changed. What is then done follows from how the account is at that
//! moment, so that events that come twice, or late, lead to the same.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;

use super::deliver::Waits;
use super::{Envelope, Failure, Limits};
use crate::clock::Clock;
use crate::config;
use crate::config::{DisplayName, OnDeletion};
use crate::connect::{CloudError, Creation, Field, Folder, NewCloudUser, Nextcloud};
use crate::model::{Account, AccountState, EmailAddress, EventKind, KindFilter};
use crate::root_key::MacKey;
use crate::secret::Secret;
use crate::store::{Store, StoreError};

/// How long an event waits that was refused. A block that comes behind one waits as long, and the person is still let in.
const WAITS: Waits = Waits { first: TimeDelta::seconds(2), longest: TimeDelta::minutes(1) };
/// After so many refusals of one event it is given up. With waits of up to a minute that is about two days.
const ATTEMPTS: i64 = 3_840;
/// The longest name that Nextcloud shows.
const LONGEST_NAME: usize = 64;

/// The users of a Nextcloud.
#[derive(Debug)]
pub struct Cloud {
    nextcloud: Nextcloud,
    store: Store,
    clock: Clock,
    settings: config::Nextcloud,
    passwords: MacKey,
    kinds: KindFilter,
}

/// What an event may bring about, beside shutting out whoever is blocked and telling a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct May {
    /// Create the user, or bring its creation to an end.
    create: bool,
    /// Let a user in who is shut out. What a person does by themself must not: an administrator of Nextcloud may have had
    /// reasons of their own.
    open: bool,
}

impl May {
    fn of(kind: &str) -> Self {
        match kind.parse() {
            Ok(EventKind::IdentityVerified) => Self { create: true, open: false },
            // Where the block is over by the time that it is told of, its end has been missed or is still to come.
            Ok(EventKind::AccountBlocked | EventKind::AccountUnblocked) => Self { create: true, open: true },
            _ => Self { create: false, open: false },
        }
    }
}

impl Cloud {
    /// One that has not been asked anything yet. Passwords of users come from `passwords`.
    #[must_use]
    pub fn new(settings: config::Nextcloud, store: Store, clock: Clock, passwords: MacKey) -> Self {
        let (nextcloud, kinds) = (Nextcloud::new(settings.clone(), clock.clone()), kinds(&settings));
        Self { nextcloud, store, clock, settings, passwords, kinds }
    }

    /// Which kinds of events it wants.
    #[must_use]
    pub const fn kinds(&self) -> &KindFilter {
        &self.kinds
    }

    /// How it is to be treated.
    pub(super) fn limits(&self) -> Limits {
        Limits { in_flight: self.settings.in_flight, attempts: Some(ATTEMPTS), waits: WAITS }
    }

    /// Brings the user of the account that an event is about to the state that it should have.
    pub(super) async fn deliver(&self, event: &Envelope) -> Result<(), Failure> {
        let event = event.event();
        let Some(account_id) = event.account_id else { return Ok(()) };
        let Some(account) = self.store.account(account_id).await? else { return Ok(()) };
        let user = self.settings.user_id.of(account.id);
        match (account.state_at(self.clock.now()), self.settings.on_deletion) {
            (AccountState::Active, _) => self.serve(&user, &account, May::of(&event.kind)).await,
            (AccountState::Blocked, _) | (AccountState::Deleted, OnDeletion::Disable) => self.shut_out(&user).await,
            (AccountState::Deleted, OnDeletion::Delete) => self.delete(&user).await,
            (AccountState::Deleted, OnDeletion::Keep) => Ok(()),
        }
    }

    async fn shut_out(&self, id: &str) -> Result<(), Failure> {
        let user = self.nextcloud.user(id).await?;
        if user.is_some_and(|user| user.enabled != Some(false)) {
            self.nextcloud.set_enabled(id, false).await?;
        }
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), Failure> {
        if self.nextcloud.user(id).await?.is_some() {
            self.nextcloud.delete(id).await?;
        }
        Ok(())
    }

    /// Sees to the user of an account that may be used.
    async fn serve(&self, id: &str, account: &Account, may: May) -> Result<(), Failure> {
        let furnishes = may.create && account.identity.is_some();
        let user = match self.nextcloud.user(id).await? {
            None if furnishes => match self.create(id, account).await? {
                Creation::Created => return self.furnish(id, false).await,
                // An earlier try whose answer was lost.
                Creation::Existed => Some(self.nextcloud.user(id).await?.ok_or_else(contradiction)?),
            },
            found => found,
        };
        let Some(user) = user else { return Ok(()) };
        if may.open && user.enabled != Some(true) {
            self.nextcloud.set_enabled(id, true).await?;
        }
        for (field, wanted) in [(Field::DisplayName, self.display_name(account)), (Field::Email, self.email(account))] {
            if !wanted.is_empty() && user.value(field) != wanted {
                self.nextcloud.set(id, field, &wanted).await?;
            }
        }
        if !furnishes {
            return Ok(());
        }
        if !user.was_used() {
            // Nextcloud may have come no further than to the bare user.
            for group in self.settings.groups.iter().filter(|group| !user.is_in(group)) {
                self.nextcloud.join(id, group).await?;
            }
            if !self.settings.quota.is_empty() {
                self.nextcloud.set_quota(id).await?;
            }
        }
        self.furnish(id, user.was_used()).await
    }

    async fn create(&self, id: &str, account: &Account) -> Result<Creation, CloudError> {
        let (display_name, email) = (self.display_name(account), self.email(account));
        let new = NewCloudUser { id, password: &self.password(id), display_name: &display_name, email: &email };
        self.nextcloud.create(&new).await
    }

    /// Makes the folder for documents, unless somebody has put a password of their own in place of the first one: then the
    /// user is theirs to furnish.
    async fn furnish(&self, id: &str, was_used: bool) -> Result<(), Failure> {
        let folder = &self.settings.home_folder;
        match self.nextcloud.make_folder(id, &self.password(id), folder).await? {
            Folder::There => Ok(()),
            Folder::Locked if was_used => Ok(()),
            Folder::Locked => Err(Failure::Hopeless(
                "Nextcloud has the user but lets nobody make its folder with a password: a second factor may be demanded; \
                 set nextcloud.home_folder to nothing, or mend it and replay this"
                    .to_owned(),
            )),
        }
    }

    /// The first password of a user. Nobody is told it; it is derived rather than drawn, so that what was begun can be brought
    /// to its end after a crash without having been stored. It begins with something of everything that rules may demand.
    fn password(&self, id: &str) -> Secret<String> {
        let mac = Secret::new(self.passwords.mac(&[id.as_bytes()]));
        Secret::new(format!("Cs1-{}", URL_SAFE_NO_PAD.encode(mac.expose())))
    }

    fn display_name(&self, account: &Account) -> String {
        let whole = match (self.settings.display_name, &account.identity) {
            (DisplayName::Names, _) => format!("{} {}", account.first_name, account.last_name),
            (DisplayName::Verified, Some(identity)) => identity.full_name.clone(),
            (DisplayName::Verified, None) | (DisplayName::None, _) => String::new(),
        };
        let spaced = whole.split_whitespace().collect::<Vec<_>>().join(" ");
        spaced.chars().take(LONGEST_NAME).collect::<String>().trim_end().to_owned()
    }

    fn email(&self, account: &Account) -> String {
        let email = account.email.as_ref().filter(|_| self.settings.send_email);
        email.map(EmailAddress::as_str).unwrap_or_default().to_owned()
    }
}

/// The kinds that can mean something for a user, as it is configured.
fn kinds(settings: &config::Nextcloud) -> KindFilter {
    let always = [
        EventKind::IdentityVerified,
        EventKind::AccountBlocked,
        EventKind::AccountUnblocked,
        EventKind::AccountDeleted,
    ];
    let named = (settings.display_name == DisplayName::Names).then_some(EventKind::AccountUpdated);
    let mailed = settings.send_email.then_some(EventKind::IdentifierChanged);
    always.into_iter().chain(named).chain(mailed).collect()
}

fn contradiction() -> Failure {
    Failure::Refused("Nextcloud says that the user exists, and that it does not".to_owned())
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        match error {
            CloudError::Away { trouble, .. } => Self::Away(trouble.to_string()),
            CloudError::Refused(trouble) => Self::Refused(trouble.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Away(error.to_string())
    }
}
