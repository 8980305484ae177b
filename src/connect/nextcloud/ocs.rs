//! The form of Nextcloud's API for users (OCS, version 2): an envelope in JSON whose `ocs.meta.statuscode` says how it went.
//! 100 and 200 are success. Other codes are the called function's own, or common to all: 997 unauthorised, 998 not found, 996
//! and 999 errors of the server. Version 2 also gives a status that fits: 401, 404, 500, and 400 for a function's own codes.
//! `message`, a sentence for people in some language, is not read.

use serde::Deserialize;
use serde_json::Value;

use super::fault::CloudError;
use crate::connect::exchange::Answer;

#[derive(Deserialize)]
struct Envelope {
    ocs: Ocs,
}

#[derive(Deserialize)]
struct Ocs {
    meta: Meta,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Meta {
    statuscode: i64,
}

/// Whom a refusal to let this service do something concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everybody: what was asked can be asked about anybody, or of any administrator.
    Everybody,
    /// One user: the same credentials have just been good for another question.
    User,
}

/// What Nextcloud says to a call that reached it.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// Done, with what was asked for.
    Done(Value),
    /// There is no such user.
    NotFound,
    /// The function's own code.
    Code(i64),
}

/// Reads an answer.
pub(super) fn read(answer: &Answer, scope: Scope) -> Result<Said, CloudError> {
    if let Some(error) = CloudError::of_status(answer.status) {
        return Err(error.until(answer.retry_after));
    }
    // Whatever has the wrong form does not come from there, but from something in front of it.
    let Ok(Envelope { ocs }) = serde_json::from_slice(&answer.body) else {
        return Err(CloudError::of_stranger(answer.status).until(answer.retry_after));
    };
    let code = ocs.meta.statuscode;
    match (code, scope) {
        // A success that the status denies is none.
        (100 | 200, _) if answer.status == 200 => Ok(Said::Done(ocs.data)),
        (404 | 998, _) => Ok(Said::NotFound),
        (401 | 997, Scope::Everybody) => Err(CloudError::of_stranger(401)),
        (401 | 403 | 997, Scope::User) => Err(CloudError::refused(
            "does not let this service change the user: an administrator must do that, with the user's own password where it \
             takes none for apps",
            code,
        )),
        (403, Scope::Everybody) => Err(CloudError::away(
            "does not let this service create users: an administrator must do that, with the user's own password where it \
             takes none for apps",
            Some(code),
        )),
        (500 | 996 | 999, _) => Err(CloudError::refused("failed at it", code)),
        (code, _) => Ok(Said::Code(code)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(status: u16, code: i64, scope: Scope) -> Result<Said, CloudError> {
        let body = json!({ "ocs": { "meta": { "status": "x", "statuscode": code, "message": "x" }, "data": [] } });
        read(&Answer { status, retry_after: None, body: body.to_string().into_bytes() }, scope)
    }

    #[test]
    fn a_code_says_how_it_went_and_whom_it_concerns() {
        use Scope::{Everybody, User};
        for code in [100, 200] {
            assert_eq!(said(200, code, User), Ok(Said::Done(json!([]))));
            assert!(said(400, code, User).is_ok_and(|said| matches!(said, Said::Code(_))), "denied by its status");
        }
        assert_eq!(said(404, 998, Everybody), Ok(Said::NotFound));
        assert_eq!(said(404, 404, User), Ok(Said::NotFound));
        assert_eq!(said(400, 102, User), Ok(Said::Code(102)));
        for (status, code) in [(401, 997), (403, 403)] {
            assert!(matches!(said(status, code, Everybody), Err(CloudError::Away { .. })), "{code}");
            assert!(matches!(said(status, code, User), Err(CloudError::Refused(_))), "{code}");
        }
        for code in [996, 999] {
            assert!(matches!(said(500, code, Everybody), Err(CloudError::Refused(_))), "{code}");
        }
    }

    #[test]
    fn what_is_not_in_the_form_of_the_api_comes_from_somebody_else() {
        for body in ["", "<html>Maintenance</html>", "{}", r#"{"ocs":{}}"#, r#"{"ocs":{"meta":{"statuscode":"x"}}}"#] {
            for status in [200, 401, 403, 404, 500] {
                let answer = Answer { status, retry_after: None, body: body.into() };
                assert!(matches!(read(&answer, Scope::User), Err(CloudError::Away { .. })), "{status} {body}");
            }
        }
    }
}
