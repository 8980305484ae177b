//! The way to a service that speaks TLS, for clients that are known by a certificate and for such as trust somebody else.

use std::time::Duration;

use countersign_client::proto::v1;
use countersign_client::{Connection, ConnectionBuilder, WhenStale};

use super::{anybody, builder, clock_of, ready, refused_after};
use crate::harness::{Authority, Backend, TestApp, on_both_backends};
use crate::session::newcomer;

on_both_backends!(a_client_is_known_by_its_certificate);

async fn a_client_is_known_by_its_certificate(backend: Backend) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.certify(&["localhost"]).write(folder.path());
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, &authority.pem).unwrap();
    let app = TestApp::with(
        backend,
        &[
            ("tls.certificate_file", certificate.to_str().unwrap()),
            ("tls.key_file", key.to_str().unwrap()),
            ("tls.client_ca_file", ca.to_str().unwrap()),
        ],
    )
    .await;
    let port = app.node().grpc.port();
    let trusting = |host: &str| Connection::to(format!("https://{host}:{port}")).authority(&authority.pem);

    // By its key over TLS first, which lets the other in.
    let connection = trusting("localhost").api_key(&app.api_key).connect().unwrap();
    let request = v1::CreateCallerRequest {
        name: "orders".to_owned(),
        permissions: vec![v1::Permission::Watch.into(), v1::Permission::Introspect.into()],
        certificate_name: "dns:orders.internal".to_owned(),
        ..Default::default()
    };
    connection.admin().create_caller(request).await.unwrap();

    let orders = authority.certify(&["orders.internal"]);
    let clock = clock_of(&app);
    // The certificate speaks of `localhost`, whatever the address says.
    let known = trusting("127.0.0.1").server_name("localhost").certificate(&orders.certificate, &orders.key);
    let verifier = builder(known.connect().unwrap(), &clock).when_stale(WhenStale::Introspect).start();
    ready(&verifier).await;
    let person = newcomer(&app).await.access_token;
    verifier.verify(&person, &anybody()).unwrap();
    clock.advance(chrono::TimeDelta::seconds(6));
    verifier.check(&person, &anybody()).await.unwrap();
    clock.advance(chrono::TimeDelta::seconds(-6));

    let stranger = Authority::new();
    let nobody = stranger.certify(&["orders.internal"]);
    let refused = async |what: &str, builder: ConnectionBuilder| {
        let connection = builder.connect().unwrap();
        let verifier = super::builder(connection, &clock).when_stale(WhenStale::Refuse).start();
        let never = tokio::time::timeout(Duration::from_millis(500), verifier.ready()).await;
        assert!(never.is_err() && verifier.verify(&person, &anybody()).is_err(), "{what}");
    };
    refused("a name that is not in the certificate", trusting("127.0.0.1").api_key(&app.api_key)).await;
    refused("no plain text", Connection::to(format!("http://localhost:{port}")).api_key(&app.api_key)).await;
    let elsewhere = Connection::to(format!("https://localhost:{port}")).api_key(&app.api_key);
    refused("the system's authorities do not know this one", elsewhere.clone()).await;
    refused("nor does a stranger", elsewhere.authority(&stranger.pem)).await;
    refused("nobody vouches for it", trusting("localhost").certificate(&nobody.certificate, &nobody.key)).await;
    refused("nobody at all", trusting("localhost")).await;

    log_out_over(&connection, &person).await;
    refused_after(&verifier, &person).await;
    app.stop().await;
}

async fn log_out_over(connection: &Connection, token: &str) {
    let mut request = tonic::Request::new(v1::LogoutRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    connection.auth().logout(request).await.unwrap();
}
