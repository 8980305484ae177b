//! Compiles the protos with nothing installed: protox reads them, tonic generates clients from what it read.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// Messages that carry a code, a token, a key, or how to reach a person. They print without it.
const SECRETIVE: &[&str] = &[
    "Identifier",
    "Account",
    "Tokens",
    "OtpCredential",
    "PasswordCredential",
    "RegisterRequest",
    "SignInStep",
    "SignInProfile",
    "ContinueSignInRequest",
    "ChangePasswordRequest",
    "ResetPasswordRequest",
    "ChangeIdentifierRequest",
    "VerifyIdentityRequest",
    "DeleteAccountRequest",
    "Identity",
    "AccountFilter",
    "CreateAccountRequest",
    "ImportedAccount",
    "IssueAnonymousTokenResponse",
    "LogoutRequest",
    "RefreshRequest",
    "VerifyRequest",
    "IntrospectRequest",
    "BatchIntrospectRequest",
    "RevokeRequest",
    "CreateCallerResponse",
    "RotateCallerKeyResponse",
    "CreateWebhookResponse",
    "RotateWebhookSecretResponse",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=examples/orders.proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let files = ["errors", "common", "auth", "token", "account", "webhooks", "admin"]
        .map(|name| format!("proto/countersign/v1/{name}.proto"));
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(files)?;
    SECRETIVE
        .iter()
        .fold(tonic_prost_build::configure(), |build, message| build.skip_debug([format!(".countersign.v1.{message}")]))
        .build_server(false)
        .compile_fds(compiler.file_descriptor_set())?;

    let mut redacted = String::new();
    for message in SECRETIVE {
        write!(
            redacted,
            "impl ::std::fmt::Debug for {message} {{
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {{
                    f.write_str(\"{message} {{ [redacted] }}\")
                }}
            }}"
        )?;
    }
    fs::write(out.join("redacted.rs"), redacted)?;

    // The service that the example protects. The library knows nothing of it.
    let example = out.join("example");
    fs::create_dir_all(&example)?;
    let orders = protox::compile(["orders.proto"], ["examples"])?;
    tonic_prost_build::configure().build_client(false).out_dir(example).compile_fds(orders)?;
    Ok(())
}
