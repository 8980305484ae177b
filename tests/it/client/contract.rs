//! What the client has in common with the service.

/// The names between the brackets of `SECRETIVE`.
fn secretive(build: &str) -> Vec<&str> {
    let (_, list) = build.split_once("const SECRETIVE: &[&str] = &[").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    list.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_same_messages_are_never_printed() {
    let (service, client) = (include_str!("../../../build.rs"), include_str!("../../../clients/rust/build.rs"));
    assert_eq!(secretive(service), secretive(client));
    assert!(secretive(client).len() > 20);
    let request =
        countersign_client::proto::v1::RefreshRequest { refresh_token: "csr_canary".to_owned(), ..Default::default() };
    assert_eq!(format!("{request:?}"), "RefreshRequest { [redacted] }");
}

#[test]
fn the_client_knows_nothing_of_the_server() {
    let manifest = include_str!("../../../clients/rust/Cargo.toml");
    assert!(manifest.lines().all(|line| !line.starts_with("countersign ") && !line.starts_with("countersign=")));
}
