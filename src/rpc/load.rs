//! What a call is let in for: how urgent it is, and what whoever makes it may take of the node.

use std::sync::{Arc, OnceLock};

use tonic::Status;

use super::deadline::AtEnd;
use super::peer::Peer;
use crate::app::App;
use crate::load::{Class, Lateness, Place, Turn};

/// What a call holds for as long as it goes on.
#[derive(Debug)]
pub(super) struct Held {
    seat: Option<Arc<OnceLock<Place>>>,
    _turn: Option<Turn>,
}

impl Held {
    /// Takes the call's place when its message is there: whoever sends headers alone is to keep nobody from theirs.
    pub(super) fn at_end(&self, app: &Arc<App>, class: Class) -> Option<AtEnd> {
        let (app, seat) = (Arc::clone(app), Arc::clone(self.seat.as_ref()?));
        Some(Box::new(move || {
            let place = app.load.take_on(class)?;
            // It is asked once, and the seat is free.
            seat.get_or_init(|| place);
            Ok(())
        }))
    }
}

/// How urgent a call is.
pub(super) fn class(path: &str) -> Class {
    let (service, method) = path.rsplit_once('/').unwrap_or((path, ""));
    match (service, method) {
        ("/countersign.v1.TokenService", "Refresh" | "Revoke" | "Blacklist")
        | ("/countersign.v1.AuthService", "Logout" | "LogoutAll") => Class::Sessions,
        ("/countersign.v1.TokenService" | "/envoy.service.auth.v3.Authorization", _) => Class::Tokens,
        ("/grpc.health.v1.Health", _) => Class::Vital,
        ("/grpc.reflection.v1.ServerReflection" | "/grpc.reflection.v1alpha.ServerReflection", _) => Class::OpenEnded,
        ("/countersign.v1.AuthService" | "/countersign.v1.AccountService", _) => Class::SignIns,
        _ => Class::Rest,
    }
}

/// What somebody holds whose call may go on; nothing, mostly.
pub(super) fn hold(app: &App, lateness: &Lateness, class: Class, peer: &Peer) -> Result<Option<Held>, Status> {
    let turn = match &peer.caller {
        _ if class == Class::Vital => None,
        Some(caller) => app.load.turn_of(caller)?,
        None => {
            app.load.count_stranger(peer.address)?;
            // Nobody who serves others stands still without it, and anybody may ask for it.
            app.load.bear(class.max(Class::Sessions), lateness)?;
            None
        }
    };
    let seat = class.takes_a_place().then(Arc::default);
    Ok((seat.is_some() || turn.is_some()).then_some(Held { seat, _turn: turn }))
}
