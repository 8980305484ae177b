//! `countersign serve`.

use std::sync::Arc;

use super::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Profile, Route};
use crate::server::{self, Listeners};
use crate::shutdown::{self, Asked, Signals};
use crate::telemetry;

pub(super) async fn serve(config: Config) -> Result<(), Failure> {
    let mut telemetry = telemetry::start(&config.log, &config.telemetry)?;
    let (grpc, http) = (config.grpc.listen, config.http_listen);
    let app = Arc::new(App::open(config, Clock::System, None).await?);
    // Not before there is somebody to answer: what connects while the database is migrated would wait for that.
    let listeners = Listeners::bind(grpc, http).await?;
    let (looked_at, counted) = (Arc::downgrade(&app), app.metrics.clone());
    // What was counted last is told when there is nothing left to look at.
    telemetry.send_figures(move || looked_at.upgrade().map_or_else(|| counted.snapshot(), |app| app.snapshot()));
    let (trigger, view) = shutdown::channel();
    // Before it says that it serves: whoever reads that may ask it to stop.
    let mut signals = Signals::listen()?;
    announce(&app, &listeners).await?;
    let nudge = app.nudge.clone();
    tokio::spawn(async move {
        let mut is_asked = false;
        loop {
            match signals.next().await {
                Asked::Reload => nudge.give(),
                Asked::Stop if is_asked => break,
                Asked::Stop => trigger.pull(),
            }
            is_asked = trigger.is_pulled();
        }
        // A second request to stop means that somebody is out of patience.
        std::process::exit(130);
    });
    let outcome = server::run(app, listeners, view).await;
    telemetry.end().await;
    Ok(outcome?)
}

/// Tells where it serves and, in development, how to try it.
async fn announce(app: &App, listeners: &Listeners) -> Result<(), Failure> {
    let (grpc, http) = (listeners.grpc_address()?, listeners.http_address()?);
    println!("Countersign {} serves", env!("CARGO_PKG_VERSION"));
    println!("  gRPC  {grpc}");
    let scheme = if app.config.tls.is_some() { "https" } else { "http" };
    println!("  HTTP  {scheme}://{http}");
    if app.config.profile == Profile::Production {
        return Ok(());
    }
    let key = app.development_key().await?;
    let key = key.as_ref().map(|key| key.expose().as_str()).unwrap_or_default();
    let database = app.config.database.url.expose();
    let place = database.strip_prefix("sqlite:").map_or_else(|| "in PostgreSQL".to_owned(), shown);
    println!("  data  {place}");
    println!("  development API key  {key}");
    println!();
    println!("Try it from another terminal:");
    println!("  cargo run --release -- demo                 (a walk-through, on a server of its own)");
    let transport = if app.config.tls.is_some() { "-insecure" } else { "-plaintext" };
    if app.config.tls.is_none() {
        println!("  cargo run --release -- demo --server http://{grpc} --api-key {key}");
    }
    println!(
        "  grpcurl {transport} -d '{{\"identifier\":{{\"phone\":\"09121234567\"}}}}' {grpc} countersign.v1.AuthService/RequestOtp"
    );
    if [app.config.notify.sms, app.config.notify.email].contains(&Route::Console) {
        println!("Codes are not sent anywhere: they appear below.");
    }
    Ok(())
}

fn shown(file: &str) -> String {
    let file = file.trim_start_matches("//");
    std::path::absolute(file).map_or_else(|_| file.to_owned(), |path| path.display().to_string())
}
