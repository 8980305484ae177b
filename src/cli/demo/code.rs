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
                let message = tokio::time::timeout(PATIENCE, arriving.recv()).await.ok().flatten();
                let code = message.and_then(|message| match message.content {
                    Content::Code { challenge_id, code, .. } if challenge_id.to_string() == challenge.challenge_id => {
                        Some(code.expose().clone())
                    }
                    _ => None,
                });
                let code = code.ok_or("the server sent no code for its challenge")?;
                page.row("code", &format!("{code}, which a real server sends to the phone"));
                Ok(code)
            }
            Self::Typed => {
                page.ask("code?", "type the code that the server's log shows for this challenge_id: ");
                // A line is waited for on a thread of its own, since a terminal cannot be polled.
                let line = tokio::task::spawn_blocking(|| stdin().lines().next().transpose()).await??;
                // On a terminal, whoever typed has ended the line.
                if !stdin().is_terminal() {
                    Page::end_line();
                }
                let line =
                    line.ok_or("no code came on standard input; it stands in the server's log, beside `code=`")?;
                Ok(line.trim().to_owned())
            }
        }
    }
}
