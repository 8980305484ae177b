//! What operators do with accounts: find, open, change, block, delete them, sign people out, and look up who did what.

mod accounts;
mod audit;
mod blocking;
mod fields;
mod list;

use countersign::proto::v1;
use tonic::{Request, Status};

use crate::harness::{TestApp, bearer};

/// A request by the operator.
fn by_operator<T>(app: &TestApp, message: T) -> Request<T> {
    bearer(message, &app.api_key)
}

/// Somebody with this phone number.
fn with_phone(phone: &str) -> v1::Account {
    v1::Account { phone: phone.to_owned(), ..Default::default() }
}

async fn try_create(app: &TestApp, request: v1::CreateAccountRequest) -> Result<v1::Account, Status> {
    let answer = app.node().admin().create_account(by_operator(app, request)).await?;
    Ok(answer.into_inner().account.unwrap())
}

async fn create(app: &TestApp, account: v1::Account) -> v1::Account {
    let request = v1::CreateAccountRequest { account: Some(account), ..Default::default() };
    try_create(app, request).await.unwrap()
}

async fn show(app: &TestApp, account_id: &str) -> v1::GetAccountResponse {
    let request = v1::GetAccountRequest { account_id: account_id.to_owned() };
    app.node().admin().get_account(by_operator(app, request)).await.unwrap().into_inner()
}

async fn update(app: &TestApp, account: v1::Account, paths: &[&str]) -> Result<v1::Account, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request =
        v1::UpdateAccountRequest { account: Some(account), update_mask: Some(prost_types::FieldMask { paths }) };
    let answer = app.node().admin().update_account(by_operator(app, request)).await?;
    Ok(answer.into_inner().account.unwrap())
}

pub(crate) async fn block(app: &TestApp, account_id: &str, reason: &str, for_seconds: Option<i64>) -> v1::Account {
    let until = for_seconds.map(|span| prost_types::Timestamp { seconds: app.now().timestamp() + span, nanos: 0 });
    let request = v1::BlockAccountRequest { account_id: account_id.to_owned(), reason: reason.to_owned(), until };
    app.node().admin().block_account(by_operator(app, request)).await.unwrap().into_inner().account.unwrap()
}

async fn unblock(app: &TestApp, account_id: &str) -> v1::Account {
    let request = v1::UnblockAccountRequest { account_id: account_id.to_owned() };
    app.node().admin().unblock_account(by_operator(app, request)).await.unwrap().into_inner().account.unwrap()
}

async fn delete(app: &TestApp, account_id: &str) -> Result<(), Status> {
    let request = v1::AdminServiceDeleteAccountRequest { account_id: account_id.to_owned() };
    app.node().admin().delete_account(by_operator(app, request)).await.map(drop)
}
