//! A node's own copy of every live revocation. Asking it costs a look into memory; keeping it fresh is for `revocations`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::RwLock;
use uuid::Uuid;

use super::{AccountId, Revocation, SessionId, Target, TokenId};

/// How many parts the copy has. A part that grows is locked while it is moved, so parts keep that short.
const SHARDS: usize = 64;
/// Into how many slices each of them is cut for those who read everything.
const SLICES: usize = 16;

/// Before every time there is.
const NEVER: i64 = i64::MIN;

/// Live revocations, and up to when they are known.
#[derive(Debug)]
pub struct Replica {
    shards: Vec<Shard>,
    as_of: AtomicI64,
}

/// A part of the copy. Most kinds of revocations are rare, and a glance tells that a part has none of one; whoever finds that
/// it may have some looks behind the lock.
#[derive(Debug, Default)]
struct Shard {
    any_tokens: AtomicBool,
    any_sessions: AtomicBool,
    any_accounts: AtomicBool,
    maps: RwLock<Maps>,
}

/// Times are microseconds since the epoch: a million entries have to fit into little memory.
#[derive(Debug, Default)]
struct Maps {
    /// Until when a token is refused.
    tokens: Map<i64>,
    /// Until when a session's tokens are refused.
    sessions: Map<i64>,
    /// Which of an account's tokens are refused, and until when.
    accounts: Map<CutOff>,
}

#[derive(Clone, Copy, Debug)]
struct CutOff {
    issued_up_to: i64,
    expires_at: i64,
}

type Map<V> = HashMap<Uuid, V, BuildHasherDefault<IdHasher>>;

/// Takes an identifier's own random bits for its hash. They are ours, or the word of a caller that may take back anything.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8) {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    /// The length that precedes the bytes is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // The last bytes of a version 7 identifier are random; hash maps look at the first bits as well.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Default for Replica {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, as_of: AtomicI64::new(0) }
    }
}

impl Replica {
    /// Whether a token is refused. `issued_at` is when it was issued, to the millisecond.
    #[must_use]
    pub fn covers(
        &self,
        token: TokenId,
        session: Option<SessionId>,
        account: AccountId,
        issued_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> bool {
        let now = now.timestamp_micros();
        let live = |expires_at: Option<&i64>| expires_at.is_some_and(|expires_at| *expires_at > now);
        let shard = self.shard(token.0);
        if holds(&shard.any_tokens) && live(shard.maps.read().tokens.get(&token.0)) {
            return true;
        }
        if let Some(SessionId(session)) = session {
            let shard = self.shard(session);
            if holds(&shard.any_sessions) && live(shard.maps.read().sessions.get(&session)) {
                return true;
            }
        }
        let shard = self.shard(account.0);
        let covers =
            |cut_off: &CutOff| cut_off.expires_at > now && issued_at.timestamp_micros() <= cut_off.issued_up_to;
        holds(&shard.any_accounts) && shard.maps.read().accounts.get(&account.0).is_some_and(covers)
    }

    /// Up to when the tokens that an account was issued are refused.
    #[must_use]
    pub fn cut_off(&self, account: AccountId) -> Option<DateTime<Utc>> {
        let cut_off = self.shard(account.0).maps.read().accounts.get(&account.0).copied()?;
        DateTime::from_timestamp_micros(cut_off.issued_up_to)
    }

    /// Takes a revocation in, and tells whether it was news. Of several for one target, the one that refuses more wins.
    pub fn apply(&self, revocation: &Revocation) -> bool {
        let expires_at = revocation.expires_at.timestamp_micros();
        let id = revocation.target.id();
        let shard = self.shard(id);
        let mut maps = shard.maps.write();
        match revocation.target {
            Target::Token(_) => {
                shard.any_tokens.store(true, Ordering::Release);
                later(maps.tokens.entry(id).or_insert(NEVER), expires_at)
            }
            Target::Session(_) => {
                shard.any_sessions.store(true, Ordering::Release);
                later(maps.sessions.entry(id).or_insert(NEVER), expires_at)
            }
            Target::Account(_) => {
                shard.any_accounts.store(true, Ordering::Release);
                let issued_up_to = revocation.revoked_at.timestamp_micros();
                let cut_off = maps.accounts.entry(id).or_insert(CutOff { issued_up_to: NEVER, expires_at: NEVER });
                later(&mut cut_off.issued_up_to, issued_up_to) | later(&mut cut_off.expires_at, expires_at)
            }
        }
    }

    /// How many parts there are for [`Self::part`].
    pub const PARTS: usize = SHARDS * SLICES;

    /// One part of all that is known, so that reading everything keeps nobody waiting for long, and whoever reads it slowly
    /// holds little of it at a time. When a token or a session was taken back is not kept.
    #[must_use]
    pub fn part(&self, number: usize) -> Vec<Revocation> {
        let Some(shard) = self.shards.get(number / SLICES) else { return Vec::new() };
        let belongs = |id: &Uuid| usize::from(id.as_bytes()[14]) % SLICES == number % SLICES;
        let time = |micros| DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let revocation = |target, revoked_at, expires_at| Revocation {
            target,
            revoked_at: time(revoked_at),
            expires_at: time(expires_at),
        };
        let maps = shard.maps.read();
        let tokens = maps.tokens.iter().filter(|(id, _)| belongs(id));
        let tokens = tokens.map(|(id, until)| revocation(Target::Token(TokenId(*id)), 0, *until));
        let sessions = maps.sessions.iter().filter(|(id, _)| belongs(id));
        let sessions = sessions.map(|(id, until)| revocation(Target::Session(SessionId(*id)), 0, *until));
        let accounts = maps.accounts.iter().filter(|(id, _)| belongs(id));
        let accounts = accounts
            .map(|(id, cut_off)| revocation(Target::Account(AccountId(*id)), cut_off.issued_up_to, cut_off.expires_at));
        tokens.chain(sessions).chain(accounts).collect()
    }

    /// Forgets what no token can need any more.
    pub fn forget_expired(&self, now: DateTime<Utc>) {
        let now = now.timestamp_micros();
        for shard in &self.shards {
            let mut maps = shard.maps.write();
            maps.tokens.retain(|_, expires_at| *expires_at > now);
            maps.sessions.retain(|_, expires_at| *expires_at > now);
            maps.accounts.retain(|_, cut_off| cut_off.expires_at > now);
            shard.any_tokens.store(!maps.tokens.is_empty(), Ordering::Release);
            shard.any_sessions.store(!maps.sessions.is_empty(), Ordering::Release);
            shard.any_accounts.store(!maps.accounts.is_empty(), Ordering::Release);
        }
    }

    /// How many revocations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let count = |shard: &Shard| {
            let maps = shard.maps.read();
            maps.tokens.len() + maps.sessions.len() + maps.accounts.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Up to when everything is known.
    #[must_use]
    pub fn as_of(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.as_of.load(Ordering::Acquire)).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Whether the copy is known to be complete up to `bound` ago. A copy from the future is none to trust either: the
    /// clock has been set back, and nobody knows how long ago that future was.
    #[must_use]
    pub fn is_fresh(&self, now: DateTime<Utc>, bound: TimeDelta) -> bool {
        let age = now.timestamp_micros() - self.as_of.load(Ordering::Acquire);
        age.unsigned_abs() <= bound.num_microseconds().map_or(u64::MAX, i64::unsigned_abs)
    }

    /// Notes that everything up to a moment is known.
    pub fn set_as_of(&self, moment: DateTime<Utc>) {
        self.as_of.store(moment.timestamp_micros(), Ordering::Release);
    }

    fn shard(&self, id: Uuid) -> &Shard {
        &self.shards[usize::from(id.as_bytes()[15]) % SHARDS]
    }
}

/// Whether a part may have a kind of revocations. What was taken in before somebody was told so is seen here, as all that
/// happened before.
fn holds(any: &AtomicBool) -> bool {
    any.load(Ordering::Acquire)
}

/// Whether that is a change.
fn later(current: &mut i64, other: i64) -> bool {
    let is_later = other > *current;
    if is_later {
        *current = other;
    }
    is_later
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn id() -> Uuid {
        let mut random = [0; 10];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        uuid::Builder::from_unix_timestamp_millis(1_800_000_000_000, &random).into_uuid()
    }

    fn revoke(target: Target, revoked_at: i64, expires_at: i64) -> Revocation {
        Revocation { target, revoked_at: at(revoked_at), expires_at: at(expires_at) }
    }

    #[test]
    fn each_kind_of_revocation_covers_its_tokens_until_it_expires() {
        let (token, session, account) = (TokenId(id()), SessionId(id()), AccountId(id()));
        for target in [Target::Token(token), Target::Session(session), Target::Account(account)] {
            let replica = Replica::default();
            assert!(!replica.covers(token, Some(session), account, at(0), at(1)));
            replica.apply(&revoke(target, 0, 10));
            assert!(replica.covers(token, Some(session), account, at(0), at(1)), "{target:?}");
            assert!(!replica.covers(TokenId(id()), Some(SessionId(id())), AccountId(id()), at(0), at(1)), "{target:?}");
            assert!(!replica.covers(token, Some(session), account, at(0), at(10)), "{target:?}");
            replica.forget_expired(at(10));
            assert!(replica.is_empty(), "{target:?}");
            assert!(!replica.covers(token, Some(session), account, at(0), at(1)), "{target:?}");
            replica.apply(&revoke(target, 0, 20));
            assert!(replica.covers(token, Some(session), account, at(0), at(10)), "{target:?}");
        }
    }

    #[test]
    fn an_accounts_latest_cut_off_wins_and_spares_what_came_after() {
        let replica = Replica::default();
        let (token, account) = (TokenId(id()), AccountId(id()));
        replica.apply(&revoke(Target::Account(account), 5, 100));
        replica.apply(&revoke(Target::Account(account), 3, 50));
        assert!(replica.covers(token, None, account, at(5), at(60)));
        assert!(!replica.covers(token, None, account, at(6), at(60)));
    }

    #[test]
    fn news_is_told_once_and_all_parts_are_everything() {
        let replica = Replica::default();
        let account = Target::Account(AccountId(id()));
        let given = [
            revoke(Target::Token(TokenId(id())), 0, 10),
            revoke(Target::Session(SessionId(id())), 0, 10),
            revoke(account, 5, 100),
            revoke(account, 3, 50),
            revoke(account, 6, 100),
        ];
        let news: Vec<_> = given.iter().chain(&given).map(|revocation| replica.apply(revocation)).collect();
        assert_eq!(news, [true, true, true, false, true, false, false, false, false, false]);

        let copy = Replica::default();
        let parts: Vec<_> = (0..Replica::PARTS).flat_map(|number| replica.part(number)).collect();
        for revocation in &parts {
            copy.apply(revocation);
        }
        assert_eq!((parts.len(), copy.len()), (3, 3));
        assert!(parts.contains(&given[4]));
        assert!(replica.part(Replica::PARTS).is_empty());
    }

    #[test]
    fn identifiers_spread_over_shards_and_buckets() {
        let replica = Replica::default();
        for _ in 0..64_000 {
            replica.apply(&revoke(Target::Session(SessionId(id())), 0, 10));
        }
        let fullest = replica.shards.iter().map(|shard| shard.maps.read().sessions.len()).max().unwrap();
        assert!(fullest < 1_250, "{fullest}");
    }
}
