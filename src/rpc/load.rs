//! What a call is let in for: how urgent it is, and what whoever makes it may take of the node.

use tonic::Status;

use super::peer::Peer;
use crate::app::App;
use crate::load::{Class, Lateness, Place, Turn};

/// What a call holds for as long as it goes on.
#[derive(Debug)]
pub(super) struct Held {
    _place: Option<Place>,
    _turn: Option<Turn>,
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

/// A place for a call, before anything is done for it.
pub(super) fn place(app: &App, lateness: &Lateness, class: Class) -> Result<Option<Place>, Status> {
    Ok(app.load.take_on(class, Some(lateness))?)
}

/// What somebody holds whose call may go on; nothing, mostly.
pub(super) fn hold(app: &App, place: Option<Place>, class: Class, peer: &Peer) -> Result<Option<Held>, Status> {
    let turn = match &peer.caller {
        _ if class == Class::Vital => None,
        Some(caller) => app.load.turn_of(caller)?,
        None => {
            app.load.count_stranger(peer.address)?;
            None
        }
    };
    Ok((place.is_some() || turn.is_some()).then_some(Held { _place: place, _turn: turn }))
}
