//! No code stands anywhere in the clear: not in the cache, not in the database, not in the log.

use std::collections::HashMap;
use std::fmt::Write as _;

use axum::http::StatusCode;
use countersign::cache::Cache;
use countersign::proto::v1;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::store::Store;
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;

use super::mailbox::Mailbox;
use super::{ask, enter, other_code, resend};
use crate::harness::{Backend, Program, TestApp, bearer, figure, login, on_both_backends, request_id};

on_both_backends!(o7_no_code_stands_in_the_cache_or_the_database, o7_no_secret_stands_in_the_log);

/// Ten digits, which nothing else consists of by chance.
const LONG: (&str, &str) = ("otp.length", "10");

async fn o7_no_code_stands_in_the_cache_or_the_database(backend: Backend) {
    let limits = [("limits.codes_per_network.count", "1000"), ("limits.unused_codes.network", "1000")];
    let app = TestApp::with(backend, &[[LONG].as_slice(), &limits].concat()).await;
    let mut codes = Vec::new();
    for n in 0..figure(200, 20) {
        let named = v1::RequestOtpRequest { request_id: request_id(), ..ask(&format!("0912{n:07}")) };
        let id = app.node().auth().request_otp(named).await.unwrap().into_inner().challenge.unwrap().challenge_id;
        codes.push(app.code(&id).await);
        match n % 4 {
            0 => drop(enter(&app, &id, codes.last().unwrap()).await.unwrap()),
            1 => drop(enter(&app, &id, &other_code(codes.last().unwrap(), 1)).await.unwrap_err()),
            2 => {
                app.advance(60);
                resend(&app, &id).await.unwrap();
                codes = [codes, app.codes_sent(&id, 2).await].concat();
            }
            _ => {}
        }
    }
    let cache = cache_content(&app).await;
    let database = database_content(&app).await;
    // The search finds what is there.
    assert!(holds(&cache, "+989120000003") && holds(&database, "+989120000000"));
    for code in codes {
        assert!(!holds(&cache, &code), "the cache holds a code");
        assert!(!holds(&database, &code), "the database holds a code");
    }
    app.stop().await;
}

/// Whether bytes hold a text, as it is or as a dump writes bytes: in hex or as a list of numbers.
fn holds(content: &[u8], text: &str) -> bool {
    let hex = text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let list = text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    [text.as_bytes(), hex.as_bytes(), list.as_bytes()]
        .iter()
        .any(|needle| content.windows(needle.len()).any(|window| window == *needle))
}

/// Everything that the installation keeps in its cache.
async fn cache_content(app: &TestApp) -> Vec<u8> {
    const ALL: &str = "local all = {} for _, key in ipairs(redis.call('KEYS', ARGV[1])) do table.insert(all, key)
        table.insert(all, redis.call('TYPE', key).ok == 'string' and redis.call('GET', key) or redis.call('DUMP', key)) end
        return table.concat(all, '\\n')";
    let cache = &app.node().app().cache;
    let Cache::Redis(_) = cache else { return format!("{cache:?}").into_bytes() };
    let setting = |name: &str| &app.settings.iter().find(|(known, _)| known == name).unwrap().1;
    let pattern = format!("{}*", setting("cache.key_prefix"));
    let address = setting("cache.url").trim_start_matches("redis://").split('/').next().unwrap().to_owned();
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut command = "*4\r\n".to_owned();
    for word in ["EVAL", ALL, "0", &pattern] {
        write!(command, "${}\r\n{word}\r\n", word.len()).unwrap();
    }
    stream.write_all(command.as_bytes()).await.unwrap();
    let mut head = String::new();
    stream.read_line(&mut head).await.unwrap();
    let length = head.trim().strip_prefix('$').unwrap_or_else(|| panic!("{head}")).parse().unwrap();
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.unwrap();
    content
}

/// Everything that the installation keeps in its database.
async fn database_content(app: &TestApp) -> Vec<u8> {
    match &app.node().app().store {
        Store::Sqlite(_) => {
            let url = &app.settings.iter().find(|(name, _)| name == "database.url").unwrap().1;
            let file = url.trim_start_matches("sqlite:");
            ["", "-wal"].iter().flat_map(|end| std::fs::read(format!("{file}{end}")).unwrap_or_default()).collect()
        }
        Store::Postgres(pool) => {
            let tables = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
            let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
            let mut content = Vec::new();
            for table in tables {
                let rows = AssertSqlSafe(format!("SELECT CAST(t AS TEXT) FROM {table} t"));
                let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(pool).await.unwrap();
                content.extend_from_slice(rows.join("\n").as_bytes());
            }
            content
        }
    }
}

async fn o7_no_secret_stands_in_the_log(backend: Backend) {
    const WEBHOOK_SECRET: &str = "canary-of-the-webhook";
    let mailbox = Mailbox::answering(StatusCode::OK).await;
    let settings = [
        LONG,
        ("notify.sms", "webhook"),
        ("notify.webhook.url", &mailbox.url),
        ("notify.webhook.secret", WEBHOOK_SECRET),
        ("log.filter", "trace"),
    ];
    let mut app = TestApp::with(backend, &settings).await;
    for node in app.nodes.drain(..) {
        node.stop().await;
    }
    let program = Program::start(&app.settings);
    let channel = Endpoint::from_shared(program.address().await).unwrap().connect().await.unwrap();

    let mut auth = AuthServiceClient::new(channel.clone());
    let mut canaries: HashMap<&str, Vec<String>> = HashMap::new();
    let mut note = |kind, canary: &str| canaries.entry(kind).or_default().push(canary.to_owned());
    note("secret", WEBHOOK_SECRET);
    note("key", &app.api_key);
    for n in 0..figure(100, 10) {
        let challenge = auth.request_otp(ask(&format!("0912987{n:04}"))).await.unwrap().into_inner().challenge.unwrap();
        let code = mailbox.deliveries(n + 1).await[n].json()["code"].as_str().unwrap().to_owned();
        auth.login(login(&challenge.challenge_id, &other_code(&code, 1))).await.unwrap_err();
        let tokens = auth.login(login(&challenge.challenge_id, &code)).await.unwrap().into_inner().tokens.unwrap();
        let mut token_service = TokenServiceClient::new(channel.clone());
        let refresh = v1::RefreshRequest { refresh_token: tokens.refresh_token.clone(), ..Default::default() };
        let next = token_service.refresh(refresh).await.unwrap().into_inner().tokens.unwrap();
        let request = v1::IntrospectRequest { token: next.access_token.clone(), ..Default::default() };
        assert!(token_service.introspect(bearer(request, &app.api_key)).await.unwrap().into_inner().active);
        auth.logout(bearer(v1::LogoutRequest::default(), &next.access_token)).await.unwrap();
        note("phone", &format!("912987{n:04}"));
        note("code", &other_code(&code, 1));
        note("code", &code);
        for pair in [tokens, next] {
            note("token", pair.access_token.rsplit('.').next().unwrap());
            note("token", &pair.refresh_token);
        }
    }
    let log = program.ended().into_bytes();
    assert!(holds(&log, "message handed over"), "the log is written");
    for (kind, canaries) in canaries {
        for canary in canaries {
            if let Some(at) = log.windows(canary.len()).position(|window| window == canary.as_bytes()) {
                let around = String::from_utf8_lossy(&log[at.saturating_sub(200)..at]);
                panic!("the log holds a {kind}, behind: {around}");
            }
        }
    }
}
