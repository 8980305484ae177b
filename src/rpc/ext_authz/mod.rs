//! Envoy's external authorization: whether a request may pass, and as whom. How it is decided stands in `gateway`; here the
//! question is read and the verdict written.

mod ruling;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::cors::trusts_cookies;
use crate::gateway::{self, Complaint, Needs, Presented, Refusal, Unreadable, Verdict, cookie, is_shadow};
use crate::proto::envoy::service::auth::v3::authorization_server::Authorization;
use crate::proto::{CheckQuestion, Ruling, Said};

/// `envoy.service.auth.v3.Authorization`.
#[derive(Debug)]
pub(super) struct Gateways {
    app: Arc<App>,
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
    pub(super) fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), complaint: Complaint::default() }
    }

    fn hear<'q>(&self, question: &'q CheckQuestion) -> Result<Heard<'q>, Refusal> {
        let cookies = &self.app.config.cookies;
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
            self.complaint.raise(&String::from_utf8_lossy(need), self.app.clock.now());
            return Err(Refusal::needs_unreadable());
        }
        Ok(heard)
    }
}

#[tonic::async_trait]
impl Authorization for Gateways {
    async fn check(&self, request: Request<CheckQuestion>) -> Result<Response<Ruling>, Status> {
        let question = request.get_ref();
        let heard = match self.hear(question) {
            Ok(heard) => heard,
            Err(refusal) => return Ok(Response::new(ruling::refused(&refusal))),
        };
        let cookie = heard.cookie.filter(|_| trusts_cookies(&self.app.config.web, heard.origins.iter().copied()));
        let presented = heard.authorization.or_cookie(cookie);
        Ok(Response::new(match gateway::judge(&self.app.access, presented, &heard.needs).await {
            Verdict::Holder(known) => ruling::without(ruling::holder(&known), &heard.shadows),
            Verdict::Nobody => ruling::without(ruling::nobody(), &heard.shadows),
            Verdict::Refused(refusal) => ruling::refused(&refusal),
        }))
    }
}
