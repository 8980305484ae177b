//! The contract, as generated from `proto/`. The messages that carry secrets print without them.

mod introspection;
mod question;

use std::fmt;

pub use self::introspection::{Introspection, Passing};
pub use self::question::{Demanded, Malformed, Question, Questions};

/// `countersign.v1`.
#[expect(clippy::allow_attributes, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("countersign.v1");
    include!(concat!(env!("OUT_DIR"), "/servers/countersign.v1.rs"));
}

/// The descriptors of all services, for reflection and for tests that walk the contract.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/countersign_descriptors.bin"));

macro_rules! redacted {
    ($($message:ident)*) => {$(
        impl fmt::Debug for v1::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), " { [redacted] }"))
            }
        }
    )*};
}

redacted! {
    Identifier
    Account
    Tokens
    OtpCredential
    PasswordCredential
    RegisterRequest
    SignInStep
    SignInProfile
    ContinueSignInRequest
    ChangePasswordRequest
    ResetPasswordRequest
    ChangeIdentifierRequest
    VerifyIdentityRequest
    DeleteAccountRequest
    Identity
    AccountFilter
    CreateAccountRequest
    ImportedAccount
    IssueAnonymousTokenResponse
    LogoutRequest
    RefreshRequest
    VerifyRequest
    IntrospectRequest
    BatchIntrospectRequest
    RevokeRequest
    CreateCallerResponse
    RotateCallerKeyResponse
}
