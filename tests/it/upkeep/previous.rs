//! The program of the release before beside this one, on one database, while it is migrated and after the rollout was taken back
//! (F7). `scripts/previous-release` builds that program and runs this.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign::proto::v1;
use countersign::proto::v1::account_service_client::AccountServiceClient;
use countersign::proto::v1::admin_service_client::AdminServiceClient;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::store::{NEWEST_MIGRATION, Store};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::harness::database::number;
use crate::harness::{Program, bearer, figure, login, new_database, phone_number, request_id};

/// Which program is the release before.
const PREVIOUS: &str = "COUNTERSIGN_TEST_PREVIOUS";
const PEOPLE: usize = 4;

/// Those who serve now.
#[derive(Default)]
struct Nodes {
    serving: Mutex<Vec<Channel>>,
    next: AtomicUsize,
    calls: AtomicUsize,
    errors: Mutex<Vec<String>>,
}

impl Nodes {
    /// One after the other, so that each call of a person comes to another node than the one before.
    async fn ask<T>(&self, what: &str, ask: impl AsyncFnOnce(Channel) -> Result<T, tonic::Status>) -> Option<T> {
        let channel = {
            let serving = self.serving.lock();
            serving[self.next.fetch_add(1, Ordering::SeqCst) % serving.len()].clone()
        };
        self.calls.fetch_add(1, Ordering::SeqCst);
        match ask(channel).await {
            Ok(answer) => Some(answer),
            Err(status) => {
                self.errors.lock().push(format!("{what}: {status:?}"));
                None
            }
        }
    }
}

/// What one person does again and again, with what an administrator does to them.
async fn live(nodes: &Nodes, mut tokens: v1::Tokens, account_id: &str, key: &str, done: &AtomicBool) {
    let mut round = 0;
    while !done.load(Ordering::SeqCst) {
        round += 1;
        let refresh_token = tokens.refresh_token.clone();
        let request = v1::RefreshRequest { refresh_token, request_id: request_id(), ..Default::default() };
        let refreshed =
            nodes.ask("Refresh", async |channel| TokenServiceClient::new(channel).refresh(request).await).await;
        let Some(next) = refreshed.and_then(|answer| answer.into_inner().tokens) else { return };
        tokens = next;
        let access = &tokens.access_token;
        let request = bearer(v1::IntrospectRequest { token: access.clone(), ..Default::default() }, key);
        let told =
            nodes.ask("Introspect", async |channel| TokenServiceClient::new(channel).introspect(request).await).await;
        if told.is_some_and(|answer| !answer.into_inner().active) {
            nodes.errors.lock().push("a token that was just issued is not active elsewhere".to_owned());
        }
        let account = Some(v1::Account { first_name: format!("Round {round}"), ..Default::default() });
        let update_mask = Some(prost_types::FieldMask { paths: vec!["first_name".to_owned()] });
        let request = bearer(v1::UpdateProfileRequest { account, update_mask }, access);
        nodes
            .ask("UpdateProfile", async |channel| AccountServiceClient::new(channel).update_profile(request).await)
            .await;
        let request = bearer(v1::GetProfileRequest {}, access);
        let read =
            nodes.ask("GetProfile", async |channel| AccountServiceClient::new(channel).get_profile(request).await);
        let name = read.await.and_then(|answer| answer.into_inner().account).map(|account| account.first_name);
        if name != Some(format!("Round {round}")) {
            nodes.errors.lock().push(format!("what was written is not read elsewhere: {name:?}"));
        }
        let request = bearer(v1::ListSessionsRequest::default(), access);
        nodes
            .ask("ListSessions", async |channel| AccountServiceClient::new(channel).list_sessions(request).await)
            .await;
        let request = v1::GetAccountRequest { account_id: account_id.to_owned() };
        let request = bearer(request, key);
        nodes.ask("GetAccount", async |channel| AdminServiceClient::new(channel).get_account(request).await).await;
        if round % 5 == 0 {
            let request = bearer(v1::ListAuditEventsRequest::default(), key);
            nodes
                .ask("ListAuditEvents", async |channel| {
                    AdminServiceClient::new(channel).list_audit_events(request).await
                })
                .await;
            let request = bearer(v1::PurgeExpiredRequest {}, key);
            let first = nodes.serving.lock()[0].clone();
            // Of several at once, a release that knows of turns refuses some.
            if let Err(status) = AdminServiceClient::new(first).purge_expired(request).await
                && status.code() != tonic::Code::Aborted
            {
                nodes.errors.lock().push(format!("PurgeExpired: {status:?}"));
            }
        }
    }
}

/// Lets people live for a while.
async fn lives(nodes: &Nodes, people: &[(v1::Tokens, String)], key: &str, meanwhile: impl Future<Output = ()>) {
    let done = AtomicBool::new(false);
    let all = join_all(people.iter().map(|(tokens, account)| live(nodes, tokens.clone(), account, key, &done)));
    tokio::join!(all, async {
        meanwhile.await;
        done.store(true, Ordering::SeqCst);
    });
}

/// Signs somebody in through a program, whose log has the code.
async fn sign_in(program: &Program, channel: &Channel, phone: &str) -> (v1::Tokens, String) {
    let mut auth = AuthServiceClient::new(channel.clone());
    let request = v1::RequestOtpRequest { identifier: Some(phone_number(phone)), ..Default::default() };
    let challenge = auth.request_otp(request).await.unwrap().into_inner().challenge.unwrap().challenge_id;
    for _ in 0..500 {
        let log = program.log();
        let line = log.lines().find(|line| line.contains(&challenge) && line.contains("code="));
        if let Some(code) = line.and_then(|line| line.split("code=").nth(1)) {
            let code: String = code.chars().take_while(char::is_ascii_digit).collect();
            let answer = auth.login(login(&challenge, &code)).await.unwrap().into_inner();
            return (answer.tokens.unwrap(), answer.account.unwrap().account_id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no code was sent: {}", program.log());
}

async fn start(program: &Path, settings: &[(String, String)], migrate: bool) -> (Program, Channel) {
    let migrate = ("database.migrate".to_owned(), migrate.to_string());
    let settings: Vec<_> = settings.iter().cloned().chain([migrate]).collect();
    let program = Program::start_at(program, &settings, &[("NO_COLOR", "1")]);
    let channel = Endpoint::from_shared(program.address().await).unwrap().connect().await.unwrap();
    (program, channel)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program of the release before: scripts/previous-release"]
async fn f7_two_releases_side_by_side() {
    let previous = PathBuf::from(
        std::env::var_os(PREVIOUS).expect("scripts/previous-release builds that program, and says where it is"),
    );
    let this = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let url = new_database().await;
    let cache = std::env::var("COUNTERSIGN_TEST_REDIS_URL").unwrap();
    let prefix = format!("test-{}", request_id());
    let settings = [
        ("grpc.listen", "127.0.0.1:0"),
        ("http.listen", "127.0.0.1:0"),
        ("grpc.workers", "1"),
        ("database.url", &url),
        ("cache.url", &cache),
        ("cache.key_prefix", &prefix),
        ("cache.timeout", "2s"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let a_while = || tokio::time::sleep(Duration::from_secs(figure(30, 8).try_into().unwrap()));
    let nodes = Nodes::default();
    let errors = |state: &str| {
        let errors = nodes.errors.lock();
        assert!(errors.is_empty(), "{state}: {} errors, such as {}", errors.len(), errors[0]);
        nodes.calls.swap(0, Ordering::SeqCst)
    };

    // The schema of the release before.
    let (old, old_channel) = start(&previous, &settings, true).await;
    let key = old.api_key();
    nodes.serving.lock().push(old_channel.clone());
    let people = newcomers(&old, &old_channel, PEOPLE).await;
    let store = Store::connect(&url, 2).await.unwrap();
    let known_before = number(&store, "SELECT MAX(version) FROM _sqlx_migrations", &[]).await;
    assert!(known_before < NEWEST_MIGRATION, "that release knows every migration");
    let too_early: Vec<_> =
        settings.iter().cloned().chain([("database.migrate".to_owned(), "false".to_owned())]).collect();
    let (code, log) = Program::start_at(this, &too_early, &[]).end(Duration::from_secs(30)).await;
    assert!(code != Some(0) && log.contains("lacks migration"), "{code:?}: {log}");
    lives(&nodes, &people, &key, a_while()).await;
    let before = errors("before");

    // It is migrated while the release before serves; then both do.
    lives(&nodes, &newcomers(&old, &old_channel, PEOPLE).await, &key, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        store.migrate().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    let during = errors("during the migration");
    let (new, new_channel) = start(this, &settings, false).await;
    nodes.serving.lock().push(new_channel.clone());
    let mut both = newcomers(&old, &old_channel, PEOPLE).await;
    both.extend(newcomers(&new, &new_channel, 2).await);
    lives(&nodes, &both, &key, a_while()).await;
    let beside = errors("side by side");

    // The rollout is taken back: the release before starts on what the new one has made, and the new one goes.
    let (back, back_channel) = start(&previous, &settings, false).await;
    *nodes.serving.lock() = vec![old_channel.clone(), back_channel.clone()];
    drop(new_channel);
    new.signal("TERM");
    let (code, log) = new.end(Duration::from_secs(40)).await;
    assert_eq!(code, Some(0), "{log}");
    let returned = newcomers(&back, &back_channel, PEOPLE).await;
    lives(&nodes, &returned, &key, a_while()).await;
    let after = errors("taken back");
    eprintln!(
        "F7: a release that knows {known_before} migrations beside one that knows {NEWEST_MIGRATION}: {before} calls before, {during} while \
         it is migrated, {beside} side by side, {after} after the rollout was taken back: 0 errors"
    );
    drop((old_channel, back_channel));
    store.close().await;
}

/// People with sessions of their own: each has another number, so that nobody has to wait for a second code.
async fn newcomers(program: &Program, channel: &Channel, count: usize) -> Vec<(v1::Tokens, String)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut people = Vec::new();
    for _ in 0..count {
        let number = format!("0912{:07}", 1_234_500 + NEXT.fetch_add(1, Ordering::SeqCst));
        people.push(sign_in(program, channel, &number).await);
    }
    people
}
