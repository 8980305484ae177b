//! A node that relays is cut off from the database: it stops by itself, before another goes on in its place.

use std::str::FromStr;
use std::time::{Duration, Instant};

use countersign::proto::v1;
use sqlx::postgres::PgConnectOptions;

use super::listener::{Arrived, Listener, Reply};
use super::{create, endpoint};
use crate::harness::{Backend, Node, TestApp, Wire, bearer, has_services, new_database};

/// Longer than it takes until another node goes on.
const PATIENCE: Duration = Duration::from_secs(40);

async fn rename(app: &TestApp, node: &Node, account_id: &str, name: &str) {
    let account = v1::Account { account_id: account_id.to_owned(), first_name: name.to_owned(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["first_name".to_owned()] });
    let request = v1::UpdateAccountRequest { account: Some(account), update_mask };
    node.admin().update_account(bearer(request, &app.api_key)).await.unwrap();
}

/// The events of an account in the order in which they arrived first, by their identifiers.
fn first_arrivals(arrived: &[Arrived], account_id: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for one in arrived.iter().filter(|one| one.event()["subject"] == account_id) {
        if !ids.iter().any(|id| id == one.id()) {
            ids.push(one.id().to_owned());
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_renew_its_lease_stops_before_another_goes_on() {
    if !has_services() {
        return;
    }
    let url = new_database().await;
    let options = PgConnectOptions::from_str(&url).unwrap();
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let wire = Wire::to(tokio::net::lookup_host(&place).await.unwrap().next().unwrap()).await;
    let through_wire = url.replace(&place, &wire.address.to_string());
    let settings = [
        ("database.url", through_wire.as_str()),
        ("events.webhooks.allow_private_networks", "true"),
        ("events.webhooks.in_flight", "1"),
        // Longer than all of this: what is on its way does not end by itself.
        ("events.webhooks.timeout", "60s"),
        ("events.poll_every", "20ms"),
    ];
    let mut app = TestApp::cluster(Backend::Shared, 1, &settings).await;
    let listener = Listener::start().await;
    let kinds = vec!["account.updated".to_owned()];
    create(&app, v1::CreateWebhookRequest { kinds, ..endpoint("crm", &listener.url) }).await;
    let mut people = Vec::new();
    for number in 0..3 {
        people.push(app.sign_in(&format!("0912123456{number}")).await.account_id);
    }
    listener.reply(Reply::Silence);
    for name in ["A", "B", "C"] {
        for account in &people {
            app.advance(1);
            rename(&app, app.node(), account, name).await;
        }
    }
    listener.arrived_at_least(1).await;
    app.add_node_with("database.url", &url).await;
    app.collected().await;

    wire.swallow();
    let cut_off = Instant::now();
    listener.reply(Reply::Status(204));
    // The one that was on its way, and all of them by the other node.
    while listener.arrived().len() < 10 {
        assert!(cut_off.elapsed() < PATIENCE, "{} have arrived", listener.arrived().len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!(
        "a relaying node is cut off from the database: another has told everything {:?} later",
        cut_off.elapsed()
    );
    assert_eq!(listener.most_in_hand(), 1, "the first let go of what was on its way before the second began");

    // When the first can reach the database again, it leaves the relaying to the second.
    wire.mend();
    app.advance(1);
    rename(&app, &app.nodes[1], &people[0], "D").await;
    listener.arrived_at_least(11).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let arrived = listener.arrived();
    assert_eq!(arrived.len(), 11);
    assert_eq!(arrived[0].id(), arrived[1].id());
    for (account, count) in people.iter().zip([4, 3, 3]) {
        let told = first_arrivals(&arrived, account);
        // Identifiers are in the order of their time.
        assert!(told.len() == count && told.is_sorted(), "{told:?}");
    }
    app.stop().await;
}
