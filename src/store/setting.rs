//! Single values that all nodes of an installation must agree on.

use super::{Store, StoreError, on_pool};

impl Store {
    /// The value kept under a name, if there is one.
    pub(super) async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found: Option<(String,)> = on_pool!(self, pool => sqlx::query_as("SELECT value FROM settings WHERE name = $1")
            .bind(name)
            .fetch_optional(pool).await)?;
        Ok(found.map(|(value,)| value))
    }

    /// The value kept under a name; where there is none yet, the one proposed is kept. Of several proposals one wins.
    pub async fn agree_on_setting(&self, name: &str, proposal: &str) -> Result<String, StoreError> {
        on_pool!(self, pool => sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name).bind(proposal)
            .execute(pool).await.map(drop))?;
        let (value,): (String,) = on_pool!(self, pool => sqlx::query_as("SELECT value FROM settings WHERE name = $1")
            .bind(name)
            .fetch_one(pool).await)?;
        Ok(value)
    }
}
