//! What the parts of a node are made of, and how they are made from it.

use std::sync::Arc;

use super::StartError;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::Config;
use crate::connect::IdentityProvider;
use crate::credential::{Codes, Resets};
use crate::events::webhooks::Webhooks;
use crate::events::{Cloud, Destination, Relay};
use crate::guard::Guard;
use crate::identity::{Owners, Verifications};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::root_key::{MacKey, Purpose, RootKey};
use crate::session::{Flows, RefreshTokens, Sessions};
use crate::store::Store;
use crate::token::Keyring;
use crate::upkeep::Upkeep;

/// What the others stand on.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) root_key: &'a RootKey,
    pub(super) store: &'a Store,
    pub(super) background: &'a Store,
    pub(super) cache: &'a Cache,
    pub(super) clock: &'a Clock,
}

impl Ground<'_> {
    pub(super) fn codes(&self, guard: &Guard, notifier: &Notifier) -> Codes {
        Codes {
            cache: self.cache.clone(),
            guard: guard.clone(),
            notifier: notifier.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            settings: self.config.otp.clone(),
            open_registration: self.config.accounts.open_registration,
            mac: MacKey::new(self.root_key, Purpose::HashCodes),
        }
    }

    pub(super) fn resets(&self, guard: &Guard, notifier: &Notifier) -> Resets {
        Resets {
            cache: self.cache.clone(),
            guard: guard.clone(),
            notifier: notifier.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            settings: self.config.password.clone(),
            mac: MacKey::new(self.root_key, Purpose::HashCodes),
        }
    }

    pub(super) fn verifications(&self, guard: &Guard, provider: &IdentityProvider) -> Verifications {
        Verifications {
            store: self.store.clone(),
            provider: provider.clone(),
            guard: guard.clone(),
            mac: MacKey::new(self.root_key, Purpose::HashNationalIds),
        }
    }

    pub(super) fn refresh_tokens(&self) -> RefreshTokens {
        let former = self.config.previous_root_key.as_ref();
        let former = former.map(|key| MacKey::new(key, Purpose::SealRefreshTokens));
        RefreshTokens::new(MacKey::new(self.root_key, Purpose::SealRefreshTokens), former)
    }

    pub(super) fn flows(&self, sessions: &Sessions) -> Flows {
        Flows {
            sessions: sessions.clone(),
            cache: self.cache.clone(),
            clock: self.clock.clone(),
            settings: self.config.sign_in.clone(),
            mac: MacKey::new(self.root_key, Purpose::BindFlows),
        }
    }

    pub(super) fn webhooks(&self) -> Result<Arc<Webhooks>, StartError> {
        let webhooks = Webhooks::new(self.config, self.root_key, self.store.clone(), self.clock.clone());
        Ok(Arc::new(webhooks.able_to_post(self.background.clone()).map_err(StartError::Webhooks)?))
    }

    pub(super) fn relay(&self, metrics: &Metrics, webhooks: &Arc<Webhooks>) -> Relay {
        let (events, issuer) = (self.config.events.clone(), self.config.token.issuer.clone());
        let relay = Relay::new(
            self.background.clone(),
            self.clock.clone(),
            metrics.clone(),
            events,
            issuer,
            Arc::clone(webhooks),
        );
        let nextcloud = self.config.nextcloud.enabled.then(|| self.nextcloud());
        nextcloud.into_iter().fold(relay, Relay::with)
    }

    pub(super) fn upkeep(&self, keyring: &Arc<Keyring>, relay: &Arc<Relay>, metrics: &Metrics) -> Upkeep {
        let (store, clock) = (self.background.clone(), self.clock.clone());
        Upkeep::new(self.config, store, Arc::clone(keyring), Arc::clone(relay), clock, metrics.clone())
    }

    fn nextcloud(&self) -> Destination {
        let passwords = MacKey::new(self.root_key, Purpose::DeriveCloudPasswords);
        let settings = self.config.nextcloud.clone();
        Destination::Nextcloud(Cloud::new(settings, self.background.clone(), self.clock.clone(), passwords).into())
    }

    pub(super) fn owners(&self, codes: &Codes, notifier: &Notifier) -> Owners {
        Owners {
            store: self.store.clone(),
            codes: codes.clone(),
            notifier: notifier.clone(),
            intents: MacKey::new(self.root_key, Purpose::DigestIntents),
            clock: self.clock.clone(),
        }
    }
}
