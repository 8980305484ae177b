//! Having it confirmed who one is.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::model::{BirthDate, NationalId};
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;

pub(super) async fn verify_identity(
    app: &Arc<App>,
    request: Request<v1::VerifyIdentityRequest>,
) -> Result<Response<v1::VerifyIdentityResponse>, Status> {
    let peer = Peer::of(&request)?;
    let now = app.clock.now();
    let message = request.get_ref();
    let mut faults = Faults::default();
    let national_id = NationalId::parse(&message.national_id).map_err(|fault| faults.add("national_id", fault)).ok();
    let birth_date: Option<BirthDate> =
        if message.birth_date.is_empty() { None } else { faults.parse("birth_date", &message.birth_date) };
    if birth_date.is_some_and(|date| date.is_in_future(now)) {
        faults.add("birth_date", "must not be in the future");
    }
    let national_id = faults.unless(national_id)?;
    let account = app.verifications.verify(peer.person()?.sub, national_id, birth_date, &peer.cause(now)).await?;
    Ok(Response::new(v1::VerifyIdentityResponse { account: Some(convert::account(account, app.clock.now())) }))
}
