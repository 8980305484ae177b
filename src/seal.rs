//! Keys at rest that must be read again, private ones and such as others know. Owns how they are encrypted with the
//! key-encryption key, and nothing of where either is kept.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::random::Random;
use crate::secret::Secret;

/// The key that other keys are encrypted with.
pub type KeyEncryptionKey = Secret<[u8; 32]>;

/// AES-256-GCM: this octet, 12 octets of nonce, the ciphertext, 16 octets of tag.
const VERSION: u8 = 1;

/// Why a sealed key could not be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// GCM cannot tell these apart: another key-encryption key, another key's name, or octets that were changed.
    #[error("sealed with another key-encryption key or for another key, or damaged")]
    WrongKeyOrDamaged,
    /// A later release wrote it, or it is something else.
    #[error("sealed in the unknown form {0}")]
    UnknownForm(u8),
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Failed,
}

/// Encrypts the key called `name`. The name is authenticated with it, so that whoever can write to the database cannot put
/// one key in another's place.
///
/// Nonces are random: with one key-encryption key, 2³² keys may be sealed (NIST SP 800-38D §8.3).
pub fn seal(random: Random, kek: &KeyEncryptionKey, name: &str, private: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE_LEN] = random.bytes();
    let mut sealed = Vec::with_capacity(1 + NONCE_LEN + private.len() + AES_256_GCM.tag_len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(private);
    let (_, text) = sealed.split_at_mut(1 + NONCE_LEN);
    let tag = cipher(kek)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), context(name), text)
        .map_err(|_| SealError::Failed)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Decrypts what [`seal`] made for the same name.
pub fn open(kek: &KeyEncryptionKey, name: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
    let (&version, rest) = sealed.split_first().ok_or(SealError::WrongKeyOrDamaged)?;
    if version != VERSION {
        return Err(SealError::UnknownForm(version));
    }
    let (&nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::WrongKeyOrDamaged)?;
    let mut text = text.to_vec();
    let length = cipher(kek)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), context(name), &mut text)
        .map_err(|_| SealError::WrongKeyOrDamaged)?
        .len();
    text.truncate(length);
    Ok(Secret::new(text))
}

fn cipher(kek: &KeyEncryptionKey) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&AES_256_GCM, kek.expose()).map(LessSafeKey::new).map_err(|_| SealError::Failed)
}

/// The form is authenticated too, so that a later one cannot be passed off as this.
fn context(name: &str) -> Aad<Vec<u8>> {
    Aad::from([&[VERSION][..], name.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_under_the_same_name_opens() {
        let kek = Secret::new(Random.bytes());
        let sealed = seal(Random, &kek, "a", b"private").unwrap();
        assert_eq!(open(&kek, "a", &sealed).unwrap().expose(), b"private");
        assert!(!sealed.windows(7).any(|window| window == b"private"));
        assert_ne!(sealed, seal(Random, &kek, "a", b"private").unwrap(), "the nonce is drawn anew");
        assert_eq!(open(&kek, "b", &sealed).unwrap_err(), SealError::WrongKeyOrDamaged);
        let other = Secret::new(Random.bytes());
        assert_eq!(open(&other, "a", &sealed).unwrap_err(), SealError::WrongKeyOrDamaged);
    }

    #[test]
    fn every_changed_or_missing_octet_is_noticed() {
        let kek = Secret::new([7; 32]);
        let sealed = seal(Random, &kek, "a", b"private").unwrap();
        assert_eq!(sealed.len(), 1 + 12 + 7 + 16);
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            let expected = if index == 0 { SealError::UnknownForm(0) } else { SealError::WrongKeyOrDamaged };
            assert_eq!(open(&kek, "a", &damaged).unwrap_err(), expected, "octet {index}");
            assert_eq!(open(&kek, "a", &sealed[..index]).unwrap_err(), SealError::WrongKeyOrDamaged, "{index} octets");
        }
        assert!(open(&kek, "a", &[&sealed[..], &[0]].concat()).is_err());
    }
}
