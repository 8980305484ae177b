//! Argon2: our own hashes, and those of others in the same form (the PHC string format).

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::memory::Memory;
use super::stored::{Damage, UnfitHash, bounded, number};
use crate::config;
use crate::random::Random;

/// How much memory a stored hash may ask for, in KiB.
pub(super) const MOST_MEMORY: u32 = 256 * 1024;
/// How much work: memory (KiB) times passes. It is what 8 passes over the most memory are.
const MOST_WORK: u32 = 8 * MOST_MEMORY;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 64;
const HASH_LENGTH: usize = 32;

/// A hash, with everything that is needed to compute it again.
#[derive(Clone)]
pub(super) struct ArgonHash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// What our own hashes cost.
#[derive(Clone, Debug)]
pub(super) struct Cost(Params);

impl Cost {
    /// Nothing, if the settings were never checked.
    pub(super) fn new(settings: &config::Password) -> Option<Self> {
        // One thread works at a hash; more lanes would only make it weaker.
        Params::new(settings.memory_kib, settings.passes, 1, Some(HASH_LENGTH)).ok().map(Self)
    }
}

impl ArgonHash {
    /// Hashes a password anew.
    pub(super) fn make(cost: &Cost, password: &[u8], memory: &mut Memory) -> Result<Self, Damage> {
        let mut made = Self::dummy(cost);
        made.salt = Random.bytes::<16>().to_vec();
        made.hash = made.compute(password, memory)?;
        Ok(made)
    }

    /// A hash that is nobody's.
    pub(super) fn dummy(cost: &Cost) -> Self {
        Self {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: cost.0.clone(),
            salt: vec![0; 16],
            hash: vec![0; HASH_LENGTH],
        }
    }

    /// Reads `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
    pub(super) fn parse(text: &str) -> Result<Self, UnfitHash> {
        let mut fields = text.split('$').skip(1);
        let mut field = || fields.next().ok_or(UnfitHash::Malformed);
        let algorithm = match field()? {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            "argon2d" => Algorithm::Argon2d,
            _ => return Err(UnfitHash::Unknown),
        };
        let mut costs = field()?;
        let version = match costs {
            "v=19" => Version::V0x13,
            "v=16" => Version::V0x10,
            // The first version did not say which it was.
            _ if costs.starts_with("m=") => Version::V0x10,
            _ => return Err(UnfitHash::Malformed),
        };
        if costs.starts_with("v=") {
            costs = field()?;
        }
        let (salt, hash) = (field()?, field()?);
        let mut costs = costs.split(',');
        let mut cost = |name, most| {
            let value = costs.next().and_then(|each| each.strip_prefix(name)).and_then(number);
            bounded(value, 1, most)
        };
        let (memory, passes, lanes) = (cost("m=", MOST_MEMORY)?, cost("t=", MOST_PASSES)?, cost("p=", MOST_LANES)?);
        if costs.next().is_some() || fields.next().is_some() {
            return Err(UnfitHash::Malformed);
        }
        if u64::from(memory) * u64::from(passes) > u64::from(MOST_WORK) {
            return Err(UnfitHash::TooExpensive);
        }
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| UnfitHash::Malformed);
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
            return Err(UnfitHash::Malformed);
        }
        let params = Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| UnfitHash::Malformed)?;
        Ok(Self { algorithm, version, params, salt, hash })
    }

    /// The text in which it is stored.
    pub(super) fn to_text(&self) -> String {
        format!(
            "${}$v={}$m={},t={},p={}${}${}",
            self.algorithm.as_str(),
            u32::from(self.version),
            self.params.m_cost(),
            self.params.t_cost(),
            self.params.p_cost(),
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.hash),
        )
    }

    /// Whether a new hash would be made in the same way.
    pub(super) fn is_made_like(&self, cost: &Cost) -> bool {
        self.algorithm == Algorithm::Argon2id && self.version == Version::V0x13 && self.params == cost.0
    }

    /// How much memory it takes, in KiB.
    pub(super) const fn memory_kib(&self) -> u32 {
        self.params.m_cost()
    }

    /// What it should be for this password.
    pub(super) const fn expected(&self) -> &[u8] {
        self.hash.as_slice()
    }

    /// What it is for this password.
    pub(super) fn compute(&self, password: &[u8], memory: &mut Memory) -> Result<Vec<u8>, Damage> {
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        let mut hash = vec![0; self.hash.len()];
        let blocks = self.params.block_count();
        let done = memory
            .lend(blocks, |blocks| argon2.hash_password_into_with_memory(password, &self.salt, &mut hash, blocks));
        done.map_err(|_| Damage)?.map_err(|_| Damage)?;
        Ok(hash)
    }
}
