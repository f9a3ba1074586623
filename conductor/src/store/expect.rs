//! A write that counts only while something is as its author has read it (`If-Match`).
//!
//! Carried with the task like the author himself (`origin`), so that no write on the way can forget it: the first write
//! that touches the subject makes the comparison, inside its own transaction. A lease counts as such a write; who has
//! it is alone with the record from then on.

use crate::model::record::Kind;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// What kind of record is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node; also everything of it that has no revision of its own.
    Node,
    /// A port.
    Port,
    /// One of the others.
    Record(Kind),
}

/// Which state of a record was read: an id is never used twice, a revision never within an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The store's own key.
    pub id: i64,
    /// How often it was changed.
    pub revision: i64,
}

/// What a write expects.
#[derive(Debug)]
pub struct Expectation {
    /// Of which kind.
    pub subject: Subject,
    /// Which one.
    pub uuid: Uuid,
    /// It must be in one of these states.
    pub readings: Vec<Reading>,
    met: AtomicBool,
}

impl Expectation {
    /// Not met yet.
    pub fn new(subject: Subject, uuid: Uuid, readings: Vec<Reading>) -> Self {
        Expectation { subject, uuid, readings, met: AtomicBool::new(false) }
    }

    /// A write has touched the subject while it was as expected: what follows is its author's own work.
    pub fn is_met(&self) -> bool {
        self.met.load(Ordering::Acquire)
    }

    /// See [`Expectation::is_met`].
    pub fn meet(&self) {
        self.met.store(true, Ordering::Release);
    }
}

tokio::task_local! {
    static EXPECTED: Option<Arc<Expectation>>;
}

/// Runs `work`; its writes count only as expected. Work that it leaves to other tasks comes after its first write.
pub async fn with<T>(expected: Option<Expectation>, work: impl Future<Output = T>) -> T {
    EXPECTED.scope(expected.map(Arc::new), work).await
}

/// What the present write expects.
pub fn present() -> Option<Arc<Expectation>> {
    EXPECTED.try_with(Clone::clone).ok().flatten()
}
