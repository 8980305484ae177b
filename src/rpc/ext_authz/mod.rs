//! Envoy's external authorization: whether a request may pass, and as whom. How it is decided stands in `gateway`; here the
//! question is read and the verdict written.

mod ruling;

use bytes::Bytes;
use http::Request;
use prost::Message;
use tonic::Status;
use tonic::body::Body;

use super::{MAX_MESSAGE, status, unary};
use crate::app::App;
use crate::cors::trusts_cookies;
use crate::gateway::{self, Complaint, Needs, Presented, Refusal, Unreadable, Verdict, cookie, is_shadow};
use crate::proto::{CheckQuestion, Said};

/// `envoy.service.auth.v3.Authorization`.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    /// About what routes need.
    complaint: Complaint,
}

/// What matters of a question. It is not to be printed: the cookie is a token.
#[derive(Default)]
struct Heard<'q> {
    authorization: Presented<'q>,
    cookie: Option<&'q str>,
    /// Whose pages sent the request.
    origins: Vec<&'q [u8]>,
    needs: Needs<'q>,
    /// The first need that is not understood.
    unreadable: Option<&'q [u8]>,
    /// Headers of the client's that an upstream might take for ours.
    shadows: Vec<&'q str>,
}

impl Gateways {
    /// Answers `Check`.
    pub(super) async fn check(&self, app: &App, request: Request<Body>) -> Result<Bytes, Status> {
        let message = unary::read(request, MAX_MESSAGE).await?;
        let question = CheckQuestion::decode(message).map_err(|_| status::malformed())?;
        let heard = match self.hear(app, &question) {
            Ok(heard) => heard,
            Err(refusal) => return Ok(ruling::refused(&refusal)),
        };
        let cookie = heard.cookie.filter(|_| trusts_cookies(&app.config.web, heard.origins.iter().copied()));
        let presented = heard.authorization.or_cookie(cookie);
        Ok(match gateway::judge(&app.access, presented, &heard.needs).await {
            Verdict::Holder(known) => ruling::without(ruling::holder(&known), &heard.shadows),
            Verdict::Nobody => ruling::without(ruling::nobody(), &heard.shadows),
            Verdict::Refused(refusal) => ruling::refused(&refusal),
        })
    }

    fn hear<'q>(&self, app: &App, question: &'q CheckQuestion) -> Result<Heard<'q>, Refusal> {
        let cookies = &app.config.cookies;
        let mut heard = Heard::default();
        let understood = question.visit(|said| match said {
            Said::Header(b"authorization", value) => {
                heard.authorization = heard.authorization.and(Presented::in_authorization(value));
            }
            Said::Header(b"cookie", value) if cookies.set_cookies && heard.cookie.is_none() => {
                heard.cookie = std::str::from_utf8(value).ok().and_then(|text| cookie(text, &cookies.access));
            }
            Said::Header(b"origin", value) => heard.origins.push(value),
            Said::Header(name, _) if is_shadow(name) => heard.shadows.extend(std::str::from_utf8(name)),
            Said::Header(..) => {}
            Said::Extension(name, value) => {
                let [text, value] = [name, value].map(std::str::from_utf8);
                let read = text.and_then(|name| Ok((name, value?))).map_err(|_| Unreadable);
                if read.and_then(|(name, value)| heard.needs.add(name, value)).is_err() {
                    heard.unreadable.get_or_insert(name);
                }
            }
        });
        // What is no question names nothing.
        let unreadable = heard.unreadable.or(understood.is_err().then_some(&[]));
        if let Some(need) = unreadable {
            self.complaint.raise(&String::from_utf8_lossy(need), app.clock.now());
            return Err(Refusal::needs_unreadable());
        }
        Ok(heard)
    }
}
