//! The only code that speaks gRPC. A handler parses, calls once and converts; who may call what stands in one table.

mod account;
mod admin;
mod auth;
mod convert;
mod cookies;
mod deadline;
mod direct;
mod ext_authz;
mod gate;
mod health;
mod introspect;
mod load;
mod observe;
mod peer;
mod policy;
mod readers;
mod sized;
mod status;
mod token;
mod unary;
mod validate;
mod watch;
mod web;

use std::sync::Arc;

use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};

pub use self::gate::GateLayer;
pub use self::health::Health;
pub use self::observe::ObserveLayer;
pub use self::peer::Link;
pub use self::readers::Readers;
use self::sized::Sized;
pub use self::web::WebLayer;
use crate::app::App;
use crate::health::Part;
use crate::load::Lateness;
use crate::proto::{DESCRIPTORS, v1};

/// The largest message that is read, but for batches.
const MAX_MESSAGE: usize = 64 * 1024;
/// The largest batch of tokens, or of accounts.
const MAX_BATCH: usize = 4 * 1024 * 1024;
/// What batches of accounts are sent to.
const IMPORT: &str = "/countersign.v1.AdminService/ImportAccounts";

/// All services of one worker, but for what is served right behind the gate.
#[must_use]
pub fn routes(app: &Arc<App>, health: &Health) -> Routes {
    let mut routes = RoutesBuilder::default();
    let auth = v1::auth_service_server::AuthServiceServer::new(auth::Auth(Arc::clone(app)));
    let token = v1::token_service_server::TokenServiceServer::new(token::Token(Arc::clone(app)));
    let account = v1::account_service_server::AccountServiceServer::new(account::Accounts(Arc::clone(app)));
    let admin = v1::admin_service_server::AdminServiceServer::new(admin::Admin(Arc::clone(app)));
    let imports = admin.clone().max_decoding_message_size(MAX_BATCH);
    let admin = Sized::new(admin.max_decoding_message_size(MAX_MESSAGE), imports, IMPORT);
    routes
        .add_service(token.max_decoding_message_size(MAX_MESSAGE))
        .add_service(auth.max_decoding_message_size(MAX_MESSAGE))
        .add_service(account.max_decoding_message_size(MAX_MESSAGE))
        .add_service(admin)
        .add_service(health.service());
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptors are those this program was compiled from, so that building from them cannot fail.
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        routes.add_service(v1).add_service(v1alpha);
    }
    routes.routes().prepare()
}

/// What every call of a worker goes through before its handler: from the web's form into its own where it comes from there; what
/// is told of it; who calls, and whether they may.
#[must_use]
pub fn door(app: &Arc<App>, lateness: Arc<Lateness>) -> (WebLayer, ObserveLayer, GateLayer) {
    let gate = GateLayer::new(Arc::clone(app), lateness);
    (WebLayer::new(&app.config.web), ObserveLayer::new(&app.metrics), gate)
}

/// The full names of the services of this contract.
pub(crate) const SERVICES: [(&str, Part); 4] = [
    (v1::auth_service_server::AuthServiceServer::<auth::Auth>::NAME, Part::SignIn),
    (v1::token_service_server::TokenServiceServer::<token::Token>::NAME, Part::Tokens),
    (v1::account_service_server::AccountServiceServer::<account::Accounts>::NAME, Part::Records),
    (v1::admin_service_server::AdminServiceServer::<admin::Admin>::NAME, Part::Records),
];
