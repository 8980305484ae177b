//! Hashes as they are stored: our own, and those that people bring along from elsewhere. Owns how they are read, how much
//! one may cost, and the comparison.
//!
//! | text | what it is |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash` (also `argon2i`, `argon2d`) | ours, and other PHC strings |
//! | `argon2$argon2id$…` | Django's Argon2 |
//! | `pbkdf2_sha256$iterations$salt$hash`, `pbkdf2_sha1$…` | Django's PBKDF2 |
//! | `$2b$cost$…` (also `2a`, `2y`), `bcrypt$$2b$…` | bcrypt, by itself and in Django |
//! | `bcrypt_sha256$$2b$…` | Django's bcrypt of the SHA-256 in hex |
//! | `scrypt$N$salt$r$p$hash` | Django's scrypt |

use std::fmt::{self, Write as _};
use std::num::NonZeroU32;

use aws_lc_rs::{digest, pbkdf2};
use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::argon::{ArgonHash, Cost, MOST_MEMORY};
use super::memory::Memory;
use super::pool::Place;
use crate::secret::Secret;

/// The longest text that is a hash.
const MOST_TEXT: usize = 512;
/// Five times what Django asks for in 2025; it asks for more every year.
const MOST_ITERATIONS: u32 = 5_000_000;
const MOST_BCRYPT_COST: u32 = 15;
/// bcrypt does not look at more of a password than this many bytes.
const BCRYPT_SEES: usize = 72;

/// bcrypt's own base64. Some systems leave bits behind in the last character, which mean nothing.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A hash that has been read, and whose cost is bounded.
#[derive(Clone)]
pub struct StoredHash {
    text: Secret<String>,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Argon { hash: ArgonHash, is_djangos: bool },
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: NonZeroU32, salt: String, hash: Vec<u8> },
    Bcrypt { cost: u32, salt: [u8; 16], hash: [u8; 23], is_digested: bool },
    Scrypt { params: scrypt::Params, memory_kib: usize, salt: String, hash: Vec<u8> },
}

/// Why a text is not used as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitHash {
    /// It is of no kind that is known here.
    #[error("the hash is of an unknown kind")]
    Unknown,
    /// It is not what its beginning promises.
    #[error("the hash is malformed")]
    Malformed,
    /// To verify it would take more memory or time than anybody may ask for.
    #[error("the hash asks for too much memory or too many rounds")]
    TooExpensive,
}

/// A hash could not be computed.
#[derive(Debug)]
pub(super) struct Damage;

/// A number as hashes write it: digits alone.
pub(super) fn number(text: &str) -> Option<u32> {
    let is_plain = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit is as large as can be.
    text.parse::<u64>().ok().filter(|_| is_plain).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// A number within bounds.
pub(super) fn bounded(number: Option<u32>, least: u32, most: u32) -> Result<u32, UnfitHash> {
    match number {
        Some(number) if number > most => Err(UnfitHash::TooExpensive),
        Some(number) if number >= least => Ok(number),
        _ => Err(UnfitHash::Malformed),
    }
}

impl StoredHash {
    /// Reads a hash and refuses what would cost too much to verify.
    pub fn parse(text: &str) -> Result<Self, UnfitHash> {
        if text.len() > MOST_TEXT {
            return Err(UnfitHash::Malformed);
        }
        let (kind, rest) = text.split_once('$').ok_or(UnfitHash::Unknown)?;
        let form = match kind {
            "" if rest.starts_with("argon2") => Form::Argon { hash: ArgonHash::parse(text)?, is_djangos: false },
            "" if rest.starts_with('2') => bcrypt(text, false)?,
            "argon2" => Form::Argon { hash: ArgonHash::parse(&text[kind.len()..])?, is_djangos: true },
            "pbkdf2_sha256" => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN, rest)?,
            "pbkdf2_sha1" => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, digest::SHA1_OUTPUT_LEN, rest)?,
            "bcrypt" => bcrypt(rest, false)?,
            "bcrypt_sha256" => bcrypt(rest, true)?,
            "scrypt" => scrypt(rest)?,
            _ => return Err(UnfitHash::Unknown),
        };
        Ok(Self { text: Secret::new(text.to_owned()), form })
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.expose()
    }

    /// One of our own.
    pub(super) fn own(hash: ArgonHash) -> Self {
        Self { text: Secret::new(hash.to_text()), form: Form::Argon { hash, is_djangos: false } }
    }

    /// Where it is verified: what does not fit into the thread's own memory waits for the other.
    pub(super) const fn place(&self, own_kib: u32) -> Place {
        match &self.form {
            Form::Argon { hash, .. } if hash.memory_kib() > own_kib => Place::Other,
            Form::Scrypt { .. } => Place::Other,
            Form::Argon { .. } | Form::Pbkdf2 { .. } | Form::Bcrypt { .. } => Place::Own,
        }
    }

    /// Whether it may come from a system that did not bring passwords into a normal form.
    pub(super) const fn is_foreign(&self) -> bool {
        !matches!(self.form, Form::Argon { is_djangos: false, .. })
    }

    /// Whether this password should be hashed anew, now that it is known. `normal` is its normal form.
    pub(super) fn wants_upgrade(&self, cost: &Cost, password: &str, normal: &str) -> bool {
        match &self.form {
            Form::Argon { hash, is_djangos } => *is_djangos || !hash.is_made_like(cost) || password != normal,
            // Nobody has checked what lies beyond: it might be a slip, and would then shut its owner out.
            Form::Bcrypt { is_digested: false, .. } => password.len() <= BCRYPT_SEES,
            Form::Bcrypt { .. } | Form::Pbkdf2 { .. } | Form::Scrypt { .. } => true,
        }
    }

    /// Whether this is the password. Takes the same time whichever it is.
    pub(super) fn verify(&self, password: &str, memory: &mut Memory) -> Result<bool, Damage> {
        let password = password.as_bytes();
        let is_equal = match &self.form {
            Form::Argon { hash, .. } => hash.expected().ct_eq(&hash.compute(password, memory)?),
            Form::Pbkdf2 { algorithm, iterations, salt, hash } => {
                return Ok(pbkdf2::verify(*algorithm, *iterations, salt.as_bytes(), password, hash).is_ok());
            }
            Form::Bcrypt { cost, salt, hash, is_digested } => {
                let digested = is_digested.then(|| hex_digest(password));
                let password = digested.as_ref().map_or(password, |digested| digested.as_bytes());
                hash.ct_eq(&bcrypt_of(password, *cost, *salt)[..23])
            }
            Form::Scrypt { params, memory_kib, salt, hash } => {
                let _entry = memory.count(*memory_kib);
                let mut computed = vec![0; hash.len()];
                scrypt::scrypt(password, salt.as_bytes(), params, &mut computed).map_err(|_| Damage)?;
                hash.ct_eq(&computed)
            }
        };
        Ok(is_equal.into())
    }
}

impl fmt::Display for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// `iterations$salt$hash`, and a hash of its full length.
fn pbkdf2(algorithm: pbkdf2::Algorithm, length: usize, rest: &str) -> Result<Form, UnfitHash> {
    let [iterations, salt, hash] = fields(rest)?;
    let iterations = bounded(number(iterations), 1, MOST_ITERATIONS)?;
    let iterations = NonZeroU32::new(iterations).ok_or(UnfitHash::Malformed)?;
    let hash = STANDARD.decode(hash).map_err(|_| UnfitHash::Malformed)?;
    if salt.is_empty() || hash.len() != length {
        return Err(UnfitHash::Malformed);
    }
    Ok(Form::Pbkdf2 { algorithm, iterations, salt: salt.to_owned(), hash })
}

/// `$2b$cost$` and 53 characters of salt and hash.
fn bcrypt(text: &str, is_digested: bool) -> Result<Form, UnfitHash> {
    let ["", "2a" | "2b" | "2y", cost, salt_and_hash] = fields(text)? else { return Err(UnfitHash::Malformed) };
    if cost.len() != 2 || salt_and_hash.len() != 53 || !salt_and_hash.is_ascii() {
        return Err(UnfitHash::Malformed);
    }
    let cost = bounded(number(cost), 4, MOST_BCRYPT_COST)?;
    let (salt, hash) = salt_and_hash.split_at(22);
    let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| UnfitHash::Malformed);
    let salt = decode(salt)?.try_into().map_err(|_| UnfitHash::Malformed)?;
    let hash = decode(hash)?.try_into().map_err(|_| UnfitHash::Malformed)?;
    Ok(Form::Bcrypt { cost, salt, hash, is_digested })
}

/// `N$salt$r$p$hash`, with N a power of two.
fn scrypt(rest: &str) -> Result<Form, UnfitHash> {
    let [cost, salt, block, lanes, hash] = fields(rest)?;
    let most_cost = MOST_MEMORY * 8;
    let cost = bounded(number(cost), 2, most_cost)?;
    let (block, lanes) = (bounded(number(block), 1, 64)?, bounded(number(lanes), 1, 64)?);
    let hash = STANDARD.decode(hash).map_err(|_| UnfitHash::Malformed)?;
    if !cost.is_power_of_two() || salt.is_empty() || !(16..=64).contains(&hash.len()) {
        return Err(UnfitHash::Malformed);
    }
    // RFC 7914 §6: N blocks of 128 r bytes, and one for each lane.
    let bytes = 128 * u64::from(block) * (u64::from(cost) + u64::from(lanes));
    let memory_kib = bytes.div_ceil(1024);
    let is_bounded =
        memory_kib <= u64::from(MOST_MEMORY) && memory_kib * u64::from(lanes) <= 8 * u64::from(MOST_MEMORY);
    if !is_bounded {
        return Err(UnfitHash::TooExpensive);
    }
    let log_cost = u8::try_from(cost.trailing_zeros()).map_err(|_| UnfitHash::Malformed)?;
    let params = scrypt::Params::new(log_cost, block, lanes).map_err(|_| UnfitHash::Malformed)?;
    let memory_kib = usize::try_from(memory_kib).map_err(|_| UnfitHash::TooExpensive)?;
    Ok(Form::Scrypt { params, memory_kib, salt: salt.to_owned(), hash })
}

/// Exactly so many fields between dollar signs.
fn fields<const N: usize>(text: &str) -> Result<[&str; N], UnfitHash> {
    let fields: Vec<_> = text.split('$').collect();
    fields.try_into().map_err(|_| UnfitHash::Malformed)
}

/// bcrypt of the password and the zero byte that ends it, as far as it looks.
fn bcrypt_of(password: &[u8], cost: u32, salt: [u8; 16]) -> [u8; 24] {
    let seen = password.len().min(BCRYPT_SEES);
    let mut key = Zeroizing::new([0; BCRYPT_SEES]);
    key[..seen].copy_from_slice(&password[..seen]);
    bcrypt::bcrypt(cost, salt, &key[..(seen + 1).min(BCRYPT_SEES)])
}

/// SHA-256 in hexadecimal digits: as long as bcrypt looks, and without a zero byte.
fn hex_digest(password: &[u8]) -> Zeroizing<String> {
    let mut hex = Zeroizing::new(String::with_capacity(2 * digest::SHA256_OUTPUT_LEN));
    for byte in digest::digest(&digest::SHA256, password).as_ref() {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
