//! Who set a write going. Carried with the task, so that no write can forget to say it and none has to be told.

use crate::model::event::Origin;
use std::future::Future;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// Runs `work`; what it writes is put down to `origin`. Work that it leaves to other tasks is not.
pub async fn by<T>(origin: Origin, work: impl Future<Output = T>) -> T {
    ORIGIN.scope(origin, work).await
}

/// Whom the present write is put down to; empty for what nobody asked for.
pub fn present() -> Origin {
    ORIGIN.try_with(Clone::clone).unwrap_or_default()
}
