//! Signing in: what a proof that holds does to the database. One transaction opens the session, the account too where there
//! is none, and takes an anonymous visitor's tokens back.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::block::lift_ended_blocks;
use super::event::record_event;
use super::identifier::free_claims;
use super::revocation::insert_revocation;
use super::session::alive;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{
    Account, AccountId, AccountState, Cause, EmailAddress, EventKind, Identifier, Phone, RequestId, Revocation,
    Session, SessionId, Target, TokenId,
};
use crate::secret::Secret;

/// A session about to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The identifier it will have.
    pub id: SessionId,
    /// Which application signs in.
    pub client_id: String,
    /// How the person proved themself.
    pub amr: String,
    /// The device's own name for itself.
    pub device_id: String,
    /// The owner's name for the device.
    pub device_name: String,
    /// The program that signs in.
    pub user_agent: String,
    /// When it ends unless it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// When it ends in any case.
    pub absolute_expires_at: DateTime<Utc>,
    /// When its first access token expires.
    pub access_expires_at: DateTime<Utc>,
}

/// What a client named its intent, and a digest of what it asked for under that name.
#[derive(Clone, Copy, Debug)]
pub struct Intent {
    /// The name.
    pub request_id: RequestId,
    /// The digest.
    pub digest: [u8; 32],
}

/// Who signs in.
#[derive(Clone, Copy, Debug)]
pub enum Proved<'a> {
    /// Whoever owns this phone number or mail address; where there is no account, one may be opened for them.
    Owner {
        /// What they own.
        identifier: &'a Identifier,
        /// Whether they say that they have no account yet.
        must_be_new: bool,
    },
    /// Whoever knew the password of this account.
    Password {
        /// Which.
        account: AccountId,
        /// The stored hash that the password was held against. If it is another by now, the proof is void.
        hash: &'a Secret<String>,
    },
}

/// An account about to be opened.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The identifier it will have.
    pub id: AccountId,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// The language of messages, or empty.
    pub locale: String,
    /// What services keep with it.
    pub metadata: Map<String, Value>,
    /// The hash of its password.
    pub password_hash: Option<Secret<String>>,
    /// A phone number that was not proved.
    pub claimed_phone: Option<Phone>,
    /// A mail address that was not proved.
    pub claimed_email: Option<EmailAddress>,
}

impl NewAccount {
    /// One of which nothing is known but how to reach its owner.
    #[must_use]
    pub fn bare(id: AccountId) -> Self {
        Self {
            id,
            first_name: String::new(),
            last_name: String::new(),
            locale: String::new(),
            metadata: Map::new(),
            password_hash: None,
            claimed_phone: None,
            claimed_email: None,
        }
    }
}

/// The anonymous visitor that somebody was until now.
#[derive(Clone, Copy, Debug)]
pub struct Upgrade {
    /// The visitor.
    pub visitor: AccountId,
    /// The token that came along.
    pub token: TokenId,
    /// Until when a token of the visitor may be around.
    pub expires_at: DateTime<Utc>,
}

/// A sign-in whose proof has been checked.
#[derive(Clone, Debug)]
pub struct OpenSession<'a> {
    /// Who has proved to be there, and how.
    pub proved: Proved<'a>,
    /// The account that an owner would get; none where nobody may sign up.
    pub new_account: Option<NewAccount>,
    /// Who it was until now.
    pub upgrade: Option<Upgrade>,
    /// The session to open.
    pub session: NewSession,
    /// What makes a repetition recognisable.
    pub intent: Option<Intent>,
    /// Under which circumstances.
    pub cause: &'a Cause,
}

/// How a sign-in went.
#[derive(Clone, Debug)]
pub enum Opened {
    /// There is a session; it is new, or the one that an earlier try of the same intent opened.
    Session {
        /// Whose.
        account: Box<Account>,
        /// Which.
        session: Box<Session>,
        /// Whether the account is new as well.
        created: bool,
        /// What stopped to count with it.
        revoked: Vec<Revocation>,
    },
    /// Somebody who was to be new is known.
    AlreadyRegistered,
    /// The account's password is no longer the one that was proved.
    Outdated,
    /// Nobody is known by the identifier, and nobody may sign up.
    Unknown,
    /// The account may not sign in.
    Blocked,
    /// The intent's name was used for something else.
    IntentReused,
}

/// Notes that somebody signs in.
macro_rules! note_sign_in {
    ($who:literal) => {
        concat!("UPDATE accounts SET last_login_at = $1 WHERE ", $who, " RETURNING *")
    };
}

impl Upgrade {
    /// What makes the visitor's tokens stop to count: the one that is known by name, and what else was issued up to now.
    #[must_use]
    pub fn revocations(&self, at: DateTime<Utc>) -> [Revocation; 2] {
        [Target::Token(self.token), Target::Account(self.visitor)].map(|target| Revocation {
            target,
            revoked_at: at,
            expires_at: self.expires_at,
        })
    }
}

impl Store {
    /// Opens a session for whoever has proved themself, and the account too where that is asked for and there is none.
    pub async fn open_session(&self, new: OpenSession<'_>) -> Result<Opened, StoreError> {
        let now = new.cause.at;
        in_transaction!(self, tx => {
            let mut created = false;
            if let (Proved::Owner { identifier, .. }, Some(account)) = (new.proved, &new.new_account) {
                let (phone, email) = columns(identifier);
                let inserted = sqlx::query(
                    "INSERT INTO accounts (id, phone, email, created_at, first_name, last_name, locale, metadata, password_hash,
                         claimed_phone, claimed_email)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING")
                    .bind(account.id.0).bind(phone).bind(email).bind(now)
                    .bind(&account.first_name).bind(&account.last_name).bind(&account.locale)
                    .bind(Value::Object(account.metadata.clone()).to_string())
                    .bind(account.password_hash.as_ref().map(|hash| hash.expose().as_str()))
                    .bind(account.claimed_phone.as_ref().map(Phone::as_str))
                    .bind(account.claimed_email.as_ref().map(EmailAddress::as_str))
                    .execute(&mut *tx).await?;
                created = inserted.rows_affected() == 1;
            }
            if let Proved::Owner { must_be_new: true, .. } = new.proved && !created {
                drop(tx);
                let before = match new.intent {
                    Some(intent) => self.opened_before(intent, now, new.session.access_expires_at).await?,
                    None => None,
                };
                return Ok(before.unwrap_or(Opened::AlreadyRegistered));
            }
            // Locks the account, so that whoever blocks it at this moment sees the session below, or this sees the block.
            let account: Option<Account> = match new.proved {
                Proved::Owner { identifier, .. } => {
                    let (phone, email) = columns(identifier);
                    sqlx::query_as(note_sign_in!("(phone = $2 OR email = $3)"))
                        .bind(now).bind(phone).bind(email)
                        .fetch_optional(&mut *tx).await?
                }
                Proved::Password { account, hash } => {
                    sqlx::query_as(note_sign_in!("id = $2 AND password_hash = $3"))
                        .bind(now).bind(account.0).bind(hash.expose())
                        .fetch_optional(&mut *tx).await?
                }
            };
            let Some(mut account) = account else {
                return Ok(match new.proved {
                    Proved::Owner { .. } => Opened::Unknown,
                    Proved::Password { .. } => Opened::Outdated,
                });
            };
            if account.state == AccountState::Blocked && account.state_at(now) == AccountState::Active {
                // Nobody has come round to it before.
                account = lift_ended_blocks!(tx, new.cause, "$2", account.id.0).pop().unwrap_or(account);
            }
            if account.state != AccountState::Active {
                return Ok(Opened::Blocked);
            }
            if let Proved::Owner { identifier, .. } = new.proved {
                // Whoever else only said that it was theirs, was wrong.
                free_claims!(tx, identifier, account.id, new.cause);
            }
            let session: Option<Session> = sqlx::query_as(
                "INSERT INTO sessions (id, account_id, generation, rotated_at, opened_by, opened_with, client_id, amr,
                     device_id, device_name, user_agent, ip, created_at, last_used_at, expires_at, absolute_expires_at,
                     access_expires_at, upgraded_from)
                 VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $3, $3, $12, $13, $14, $15)
                 ON CONFLICT (opened_by) DO NOTHING RETURNING *")
                .bind(new.session.id.0).bind(account.id.0).bind(now)
                .bind(new.intent.map(|intent| intent.request_id.0))
                .bind(new.intent.map(|intent| intent.digest.to_vec()))
                .bind(&new.session.client_id).bind(&new.session.amr)
                .bind(&new.session.device_id).bind(&new.session.device_name).bind(&new.session.user_agent)
                .bind(&new.cause.ip)
                .bind(new.session.expires_at).bind(new.session.absolute_expires_at).bind(new.session.access_expires_at)
                .bind(new.upgrade.map(|upgrade| upgrade.visitor.0))
                .fetch_optional(&mut *tx).await?;
            let Some(session) = session else {
                drop(tx);
                return match new.intent {
                    Some(intent) => {
                        let opened = self.opened_before(intent, now, new.session.access_expires_at).await?;
                        Ok(opened.unwrap_or(Opened::IntentReused))
                    }
                    None => Ok(Opened::Unknown),
                };
            };
            let revoked = new.upgrade.map(|upgrade| upgrade.revocations(now).to_vec()).unwrap_or_default();
            for revocation in &revoked {
                insert_revocation!(tx, revocation, "upgraded");
            }
            if created {
                record_event!(tx, EventKind::AccountCreated, new.cause, Some(account.id), None);
            }
            let told = new.upgrade.map(|upgrade| format!("upgraded_from={}", upgrade.visitor)).unwrap_or_default();
            let cause = Cause { detail: told, ..new.cause.clone() };
            record_event!(tx, EventKind::SessionCreated, &cause, Some(account.id), Some(session.id));
            Ok(Opened::Session { account: account.into(), session: session.into(), created, revoked })
        })
    }

    /// The session that an earlier try of the same intent opened, while it still is as it was opened. As with a repeated
    /// refresh, nothing moves but the life of the access token that the answer will bring.
    pub async fn opened_before(
        &self,
        intent: Intent,
        now: DateTime<Utc>,
        access_expires_at: DateTime<Utc>,
    ) -> Result<Option<Opened>, StoreError> {
        // A session that has moved on was answered to, and one that has ended or expired must not come back to life.
        const STATEMENT: &str = concat!(
            "UPDATE sessions SET
                 access_expires_at = CASE WHEN $2 < expires_at THEN $2 ELSE expires_at END
             WHERE id = $1 AND generation = 1 AND",
            alive!(),
            " RETURNING *"
        );
        let found: Option<(Uuid, Vec<u8>, Uuid)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, opened_with, account_id FROM sessions WHERE opened_by = $1")
            .bind(intent.request_id.0)
            .fetch_optional(pool).await)?;
        let Some((id, opened_with, account_id)) = found else { return Ok(None) };
        if opened_with != intent.digest {
            return Ok(Some(Opened::IntentReused));
        }
        let Some(account) = self.account(AccountId(account_id)).await? else { return Ok(Some(Opened::Unknown)) };
        if account.state_at(now) != AccountState::Active {
            return Ok(Some(Opened::Blocked));
        }
        let session: Option<Session> = on_pool!(self, pool => sqlx::query_as(STATEMENT)
            .bind(id).bind(access_expires_at).bind(now)
            .fetch_optional(pool).await)?;
        let Some(session) = session else { return Ok(Some(Opened::Unknown)) };
        let created = account.created_at == session.created_at;
        Ok(Some(Opened::Session {
            account: Box::new(account),
            session: Box::new(session),
            created,
            revoked: Vec::new(),
        }))
    }
}

/// The identifier as the columns that hold it.
fn columns(identifier: &Identifier) -> (Option<&str>, Option<&str>) {
    match identifier {
        Identifier::Phone(phone) => (Some(phone.as_str()), None),
        Identifier::Email(email) => (None, Some(email.as_str())),
    }
}
