//! How people prove who they are. Owns codes and passwords.

mod code;
mod password;

pub use code::{Challenge, CodeError, Codes, Proof, RequestCode};
pub use password::{NewPassword, PasswordError, Passwords, StoredHash, Unfit, UnfitHash, Verdict};
