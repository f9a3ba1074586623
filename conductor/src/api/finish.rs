//! Work that is done to its end: a client that hangs up cannot stop half-way what it began, and a panic is an outcome.
//!
//! The work runs where its connection is served: nothing is handed from thread to thread. Only when the connection is dropped
//! under it does it go on by itself.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a panic leaves.
pub type Panic = Box<dyn Any + Send>;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Work that goes on behind when it is dropped.
pub struct Finish<T: Send + 'static>(Option<Work<T>>);

/// Does the work; its panic is an outcome.
pub fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Finish<T> {
    Finish(Some(Box::pin(work)))
}

impl<T: Send + 'static> Future for Finish<T> {
    type Output = Result<T, Panic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        // Work that panicked is not polled again.
        let outcome = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let done = match outcome {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(panic),
        };
        self.0 = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        // Polled at once: what a dropped connection was woken for must not be lost with it.
        runtime.spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn dropped_work_goes_on_and_a_panic_is_an_outcome() {
        let (begun, go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (begun2, go2, done2) = (begun.clone(), go.clone(), done.clone());
        let work = finish(async move {
            begun2.notify_one();
            go2.notified().await;
            done2.store(true, Ordering::SeqCst);
        });
        tokio::select! {
            _ = work => panic!("it waits for its sign"),
            () = begun.notified() => {}
        }
        go.notify_one();
        let ended = async {
            while !done.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the work goes on without its connection");
        assert_eq!(finish(async { 7 }).await.ok(), Some(7));
        assert!(finish(async { panic!("a fault of a handler") }).await.is_err());
    }
}
