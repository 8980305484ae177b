//! `grpc.health.v1.Health`: what each service is fit for, told from the real state of what it stands on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::SERVICES;
use crate::health::Part;

/// How long the last word takes to leave.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The state that is reported.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    /// What was said last: whoever watches is told of changes alone.
    said: Arc<Mutex<HashMap<&'static str, bool>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { reporter: HealthReporter::new(), said: Arc::default() }
    }
}

impl Health {
    /// The service that reports it.
    #[must_use]
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Ends the streams of those who watch, which would otherwise keep their connections open. They have been told before
    /// that nothing is served here.
    pub async fn end(&self) {
        tokio::time::sleep(LAST_WORD).await;
        for service in SERVICES.iter().map(|(service, _)| *service).chain([""]) {
            self.reporter.clone().clear_service_status(service).await;
        }
    }

    /// Notes how things stand. The node as a whole serves where it can judge tokens: that is what others wait for.
    pub async fn report(&self, works: impl Fn(Part) -> bool) {
        // Held to the end, so that of several that report the last has the last word.
        let mut said = self.said.lock().await;
        for (service, part) in SERVICES.into_iter().chain([("", Part::Tokens)]) {
            let works = works(part);
            if said.insert(service, works) != Some(works) {
                self.reporter.set_service_status(service, status(works)).await;
            }
        }
    }
}

fn status(works: bool) -> ServingStatus {
    if works { ServingStatus::Serving } else { ServingStatus::NotServing }
}
