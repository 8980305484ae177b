//! The contract, as generated from `proto/`. The messages that carry secrets print without them.

mod check;
mod introspection;
mod question;

use std::fmt;

pub use self::check::{CheckQuestion, Said};
pub use self::introspection::{Introspection, Passing};
pub use self::question::{Demanded, Malformed, Question, Questions};

/// `countersign.v1`.
#[expect(clippy::allow_attributes, clippy::pedantic, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("countersign.v1");
    include!(concat!(env!("OUT_DIR"), "/servers/countersign.v1.rs"));
}

/// What gateways speak, in the packages that it has with them: generated code finds its way by these names.
#[expect(missing_docs, clippy::pedantic, reason = "generated")]
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    pub mod service {
        pub mod auth {
            pub mod v3 {
                tonic::include_proto!("envoy.service.auth.v3");
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            tonic::include_proto!("envoy.r#type.v3");
        }
    }
}

/// `google.rpc`, as far as it is used.
#[expect(missing_docs, reason = "generated")]
pub mod google {
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

impl fmt::Debug for envoy::service::auth::v3::attribute_context::HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpRequest { [redacted] }")
    }
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
    CreateWebhookResponse
    RotateWebhookSecretResponse
}
