//! How people prove who they are. Owns codes, passwords, and links to set a new one.

mod code;
mod password;
mod reset;
mod unseen;

pub use code::{Challenge, CodeError, Codes, Proof, RequestCode};
pub use password::{NewPassword, PasswordError, Passwords, StoredHash, Unfit, UnfitHash, Verdict};
pub use reset::{Reset, ResetError, Resets};
