//! `countersign demo`.

use clap::Args;

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// A running server, such as http://127.0.0.1:50051; by default a private one is started.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An API key of that server with the permissions introspect and revoke.
    #[arg(long, value_name = "KEY", requires = "server")]
    api_key: Option<String>,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        Err(format!("{self:?}").into())
    }
}
