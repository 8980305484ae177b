//! Who one is, and what can be changed about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::identity::Profile;
use crate::model::ClaimRule;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;

pub(super) async fn get_profile(
    app: &Arc<App>,
    request: Request<v1::GetProfileRequest>,
) -> Result<Response<v1::GetProfileResponse>, Status> {
    let owner = Peer::of(&request)?.person()?.sub;
    let account = app.accounts.profile(owner).await?;
    Ok(Response::new(v1::GetProfileResponse { account: Some(convert::account(account, app.clock.now())) }))
}

pub(super) async fn update_profile(
    app: &Arc<App>,
    request: Request<v1::UpdateProfileRequest>,
) -> Result<Response<v1::UpdateProfileResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let owner = peer.person()?.sub;
    let message = request.into_inner();
    let mut faults = Faults::default();
    let profile = profile(message.account.as_ref(), message.update_mask.as_ref(), &mut faults);
    faults.none()?;
    // A token vouches for what it says, so nobody sets that about themself.
    let kept_members = app.config.token.claims.iter().flat_map(ClaimRule::members).map(str::to_owned).collect();
    let profile = Profile { kept_members, ..profile };
    let now = app.clock.now();
    let account = app.accounts.update_profile(owner, profile, &peer.cause(now)).await?;
    Ok(Response::new(v1::UpdateProfileResponse { account: Some(convert::account(account, now)) }))
}

/// What the mask names, and nothing else: the rest of the message is not looked at.
fn profile(given: Option<&v1::Account>, mask: Option<&prost_types::FieldMask>, faults: &mut Faults) -> Profile {
    let mut profile = Profile::default();
    let Some(given) = given else {
        faults.add("account", "must be given");
        return profile;
    };
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        faults.add("update_mask", "must name at least one field");
    }
    // A field counts once, however often it is named.
    for path in paths.iter().collect::<BTreeSet<_>>() {
        match path.as_str() {
            "first_name" => profile.first_name = Some(faults.name("account.first_name", &given.first_name)),
            "last_name" => profile.last_name = Some(faults.name("account.last_name", &given.last_name)),
            "locale" => profile.locale = Some(faults.locale("account.locale", &given.locale)),
            "metadata" => profile.metadata = Some(faults.metadata("account.metadata", given.metadata.as_ref())),
            _ => {
                faults.add("update_mask", "may name only first_name, last_name, locale and metadata");
                break;
            }
        }
    }
    profile
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn what_the_mask_names_twice_is_read_once() {
        let given = v1::Account { first_name: "a\0".to_owned(), ..Default::default() };
        let mask = prost_types::FieldMask { paths: vec!["first_name".to_owned(); 3] };
        let mut faults = Faults::default();
        profile(Some(&given), Some(&mask), &mut faults);
        let violations = faults.into_status().get_error_details().bad_request().unwrap().field_violations.clone();
        assert_eq!(violations.len(), 1);
    }
}
