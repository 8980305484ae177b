//! Compiles the protos with nothing installed: protox reads them, tonic generates from what it read.

use std::path::PathBuf;
use std::{env, fs};

/// Messages that carry a code, a token, a key, or how to reach a person. Their Debug output is written by hand, without it.
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

/// Methods that no server is generated for.
const BY_HAND: &[&str] = &["Introspect", "BatchIntrospect"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=migrations");
    let files = ["errors", "common", "auth", "token", "account", "webhooks", "admin", "events"]
        .map(|name| format!("proto/countersign/v1/{name}.proto"));
    // What gateways speak; and what errors carry, for gateways that show them as JSON.
    let foreign = ["envoy/service/auth/v3/external_auth", "google/rpc/error_details"];
    let files = files.into_iter().chain(foreign.map(|name| format!("proto/{name}.proto")));
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(files)?;
    // Encoded by the compiler itself: prost has no place for options of others, such as `google.api.http`.
    let out = PathBuf::from(env::var("OUT_DIR")?).join("countersign_descriptors.bin");
    fs::write(out, compiler.encode_file_descriptor_set())?;
    let descriptors = compiler.file_descriptor_set();

    SECRETIVE
        .iter()
        .fold(tonic_prost_build::configure(), |build, message| build.skip_debug([format!(".countersign.v1.{message}")]))
        .skip_debug([".envoy.service.auth.v3.AttributeContext.HttpRequest"])
        .build_server(false)
        .compile_fds(descriptors.clone())?;
    // The servers by themselves, because some methods are served by hand: see `src/rpc/direct.rs`. What gateways ask is, all of
    // it.
    let servers = PathBuf::from(env::var("OUT_DIR")?).join("servers");
    fs::create_dir_all(&servers)?;
    let mut generated = descriptors;
    generated.file.retain(|file| file.package() == "countersign.v1");
    for file in &mut generated.file {
        // Comments are found by a method's place among the others, which is about to change.
        file.source_code_info = None;
        for service in &mut file.service {
            service.method.retain(|method| !BY_HAND.contains(&method.name()));
        }
    }
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".countersign.v1", "crate::proto::v1")
        .out_dir(servers)
        .compile_fds(generated)?;
    Ok(())
}
