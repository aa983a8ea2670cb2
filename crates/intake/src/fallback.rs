//! What lies beside the callbacks on the same listener: pages for people.
//!
//! They share the listener and its connections, and nothing else: a page waits for a platform, a callback never does, so
//! pages have places of their own, and whatever goes wrong in one ends with its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tracing::{error, warn};

use crate::answer::{self, Answer};
use crate::door::linger;
use crate::limits::{FALLBACK_PLACES_MAX, FALLBACK_TIMEOUT};

/// Answers what is no callback. It is called for every path that does not begin with `/callbacks/`.
pub type Fallback = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Full<Bytes>>> + Send + Sync>;

/// A fallback within its bounds.
pub(crate) struct Beside {
    fallback: Fallback,
    places: Semaphore,
}

impl Beside {
    pub(crate) fn new(fallback: Fallback) -> Self {
        Self { fallback, places: Semaphore::new(FALLBACK_PLACES_MAX) }
    }

    /// The fallback's answer; 503 if it has no place or takes too long, 500 if it panics.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let Ok(_place) = self.places.try_acquire() else {
            let (head, body) = request.into_parts();
            linger(body, &head.headers);
            return answer::unavailable();
        };
        // Called within, so that a panic before its first await is caught too.
        let answering = AssertUnwindSafe(async { (self.fallback)(request).await }).catch_unwind();
        match tokio::time::timeout(FALLBACK_TIMEOUT, answering).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                error!("a page panicked; it was answered 500, and callbacks go on");
                answer::failed()
            }
            Err(_) => {
                warn!("a page took too long; it was answered 503, and callbacks go on");
                answer::unavailable()
            }
        }
    }
}
