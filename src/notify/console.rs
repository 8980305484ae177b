//! Messages into the log, for development. Production refuses to start with this.

use tokio::sync::mpsc;
use tracing::warn;

use crate::model::{Content, Message};

/// Shows a message to whoever reads the log, or to an observer in its place.
pub(super) fn print(message: &Message, observer: Option<&mpsc::UnboundedSender<Message>>) {
    if let Some(observer) = observer {
        // An observer that has left wants no more messages.
        let _ = observer.send(message.clone());
        return;
    }
    let to = message.to.masked();
    match &message.content {
        Content::Code { challenge_id, code, .. } => {
            let code = code.expose();
            warn!(%challenge_id, %code, "FOR DEVELOPMENT ONLY: this code would have been sent to {to}");
        }
        Content::PasswordReset { url, .. } => {
            warn!(url = %url.expose(), "FOR DEVELOPMENT ONLY: this link would have been sent to {to}");
        }
        Content::PasswordChanged { .. } | Content::IdentifierChanged { .. } | Content::AccountDeleted { .. } => {
            let kind = message.content.kind();
            warn!(kind, "FOR DEVELOPMENT ONLY: this news would have been sent to {to}");
        }
    }
}
