//! How a code gets from the server to the demo, which has no phone.

use std::io::{IsTerminal, stdin};
use std::time::Duration;

use tokio::sync::mpsc;

use super::page::Page;
use crate::cli::Failure;
use crate::model::{Content, Message};
use crate::proto::v1;

const PATIENCE: Duration = Duration::from_secs(5);

/// Where codes come from.
pub(super) enum Codes {
    /// The private server hands them over.
    FromServer(mpsc::UnboundedReceiver<Message>),
    /// They stand in a running server's log, and somebody types them.
    Typed,
}

impl Codes {
    /// The code of a challenge.
    pub(super) async fn code(&mut self, challenge: &v1::OtpChallenge, page: &Page) -> Result<String, Failure> {
        match self {
            Self::FromServer(arriving) => {
                let code = first(arriving, |content| match content {
                    Content::Code { challenge_id, code, .. } if challenge_id.to_string() == challenge.challenge_id => {
                        Some(code.expose().clone())
                    }
                    _ => None,
                });
                let code = code.await.ok_or("the server sent no code for its challenge")?;
                page.row("code", &format!("{code}, which a real server sends to the phone"));
                Ok(code)
            }
            Self::Typed => {
                page.ask("code?", "type the code that the server's log shows for this challenge_id: ");
                let line = typed().await?;
                line.ok_or("no code came on standard input; it stands in the server's log, beside `code=`".into())
            }
        }
    }

    /// The token in a link to set a new password.
    pub(super) async fn reset_token(&mut self, page: &Page) -> Result<String, Failure> {
        let link = match self {
            Self::FromServer(arriving) => {
                let link = first(arriving, |content| match content {
                    Content::PasswordReset { url, .. } => Some(url.expose().clone()),
                    _ => None,
                });
                let link = link.await.ok_or("the server sent no link")?;
                page.row("link", &"on its way to the phone; the page behind it has the token");
                link
            }
            Self::Typed => {
                page.ask("token?", "type the token in the link that the server's log shows: ");
                typed().await?.ok_or("no token came on standard input; it stands in the link in the server's log")?
            }
        };
        Ok(link.rsplit_once('=').map_or(link.as_str(), |(_, token)| token).to_owned())
    }
}

/// The first message that says what is looked for. News on the way there is passed over.
async fn first<T>(
    arriving: &mut mpsc::UnboundedReceiver<Message>,
    looked_for: impl Fn(&Content) -> Option<T>,
) -> Option<T> {
    let search = async {
        while let Some(message) = arriving.recv().await {
            if let Some(found) = looked_for(&message.content) {
                return Some(found);
            }
        }
        None
    };
    tokio::time::timeout(PATIENCE, search).await.ok().flatten()
}

/// A line of standard input.
async fn typed() -> Result<Option<String>, Failure> {
    // A line is waited for on a thread of its own, since a terminal cannot be polled.
    let line = tokio::task::spawn_blocking(|| stdin().lines().next().transpose()).await??;
    // On a terminal, whoever typed has ended the line.
    if !stdin().is_terminal() {
        Page::end_line();
    }
    Ok(line.map(|line| line.trim().to_owned()))
}
