//! People's accounts, as operators see them.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{cause, named};
use crate::app::App;
use crate::model::{Account, AccountId, AccountState};
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::validate::{Faults, page};

pub(super) async fn list_accounts(
    app: &Arc<App>,
    request: Request<v1::ListAccountsRequest>,
) -> Result<Response<v1::ListAccountsResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let filter = faults.account_filter(message.filter.as_ref(), app.config.accounts.default_region);
    let size = faults.page_size(message.page_size);
    let below = faults.page_token(&message.page_token, |cursor| Uuid::from_slice(cursor).ok().map(AccountId));
    faults.none()?;
    let found = app.accounts.list(&filter, below, i64::from(size) + 1).await?;
    let (accounts, next_page_token) = page(found, size, |last| last.id.0.as_bytes().to_vec());
    let now = app.clock.now();
    Ok(Response::new(v1::ListAccountsResponse {
        accounts: accounts.into_iter().map(|account| convert::account(account, now)).collect(),
        next_page_token,
    }))
}

pub(super) async fn get_account(
    app: &Arc<App>,
    request: Request<v1::GetAccountRequest>,
) -> Result<Response<v1::GetAccountResponse>, Status> {
    let account = app.accounts.profile(account_id(&request.get_ref().account_id)?).await?;
    let now = app.clock.now();
    let is_blocked = account.state_at(now) == AccountState::Blocked;
    let block_reason = if is_blocked { account.block_reason.clone() } else { String::new() };
    Ok(Response::new(v1::GetAccountResponse { account: Some(convert::account(account, now)), block_reason }))
}

pub(super) async fn create_account(
    app: &Arc<App>,
    request: Request<v1::CreateAccountRequest>,
) -> Result<Response<v1::CreateAccountResponse>, Status> {
    let circumstances = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let person = faults.new_person(message, app.config.accounts.default_region);
    let request_id = faults.request_id(&message.request_id);
    let person = faults.unless(person)?;
    let account = app.accounts.create(person, request_id, &named(circumstances, request_id)).await?;
    Ok(Response::new(v1::CreateAccountResponse { account: Some(shown(app, account)) }))
}

pub(super) async fn update_account(
    app: &Arc<App>,
    request: Request<v1::UpdateAccountRequest>,
) -> Result<Response<v1::UpdateAccountResponse>, Status> {
    let circumstances = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let unsaid = v1::Account::default();
    let account = message.account.as_ref().unwrap_or(&unsaid);
    let id = faults.parse("account.account_id", &account.account_id);
    let paths = message.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    let change = faults.account_change(account, paths);
    let account = app.accounts.update(faults.unless(id)?, &change, &circumstances).await?;
    Ok(Response::new(v1::UpdateAccountResponse { account: Some(shown(app, account)) }))
}

pub(super) async fn block_account(
    app: &Arc<App>,
    request: Request<v1::BlockAccountRequest>,
) -> Result<Response<v1::BlockAccountResponse>, Status> {
    let circumstances = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let id = faults.parse("account_id", &message.account_id);
    let reason = faults.text("reason", &message.reason, 256);
    let until = faults.future("until", message.until, circumstances.at);
    let account = app.accounts.block(faults.unless(id)?, reason, until, &circumstances).await?;
    Ok(Response::new(v1::BlockAccountResponse { account: Some(shown(app, account)) }))
}

pub(super) async fn unblock_account(
    app: &Arc<App>,
    request: Request<v1::UnblockAccountRequest>,
) -> Result<Response<v1::UnblockAccountResponse>, Status> {
    let (id, cause) = (account_id(&request.get_ref().account_id)?, cause(app, &request)?);
    let account = app.accounts.unblock(id, &cause).await?;
    Ok(Response::new(v1::UnblockAccountResponse { account: Some(shown(app, account)) }))
}

pub(super) async fn delete_account(
    app: &Arc<App>,
    request: Request<v1::AdminServiceDeleteAccountRequest>,
) -> Result<Response<v1::AdminServiceDeleteAccountResponse>, Status> {
    let (id, cause) = (account_id(&request.get_ref().account_id)?, cause(app, &request)?);
    app.accounts.delete(id, &cause).await?;
    Ok(Response::new(v1::AdminServiceDeleteAccountResponse {}))
}

fn account_id(text: &str) -> Result<AccountId, Status> {
    let mut faults = Faults::default();
    let id = faults.parse("account_id", text);
    faults.unless(id)
}

fn shown(app: &App, account: Account) -> v1::Account {
    convert::account(account, app.clock.now())
}
