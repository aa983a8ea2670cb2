//! What a request is answered with.
//!
//! The acknowledgement is the platform's, to the byte; everything else is ours, short and plain. A 404 is the
//! same to the byte for everything that is not a callback URL of ours.

use aftersign_core::callback::{Refusal, Reply};
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::limits::RETRY_AFTER_SECONDS;

/// A whole response.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a callback could not be noted durably; each is answered 503.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Obstacle {
    /// More requests in flight than we take.
    Busy,
    /// More bytes of bodies in memory than we take.
    NoRoom,
    /// The store's queue is full.
    StoreOverloaded,
    /// The store failed.
    StoreUnavailable,
    /// The store took longer than the platform may be kept waiting.
    StoreTimeout,
    /// It took longer than a request may.
    Timeout,
    /// The adapter panicked where nothing can be kept.
    AdapterFailed,
}

impl Obstacle {
    /// The word under which it is counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoRoom => "no_room",
            Self::StoreOverloaded => "store_overloaded",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreTimeout => "store_timeout",
            Self::Timeout => "timeout",
            Self::AdapterFailed => "adapter_failed",
        }
    }
}

/// The platform's acknowledgement.
pub(crate) fn acknowledgement(reply: Reply) -> Answer {
    with(reply.status, reply.content_type, reply.body)
}

/// To `HEAD`: the URL is right, nothing was done.
pub(crate) fn probed() -> Answer {
    with(StatusCode::OK, "text/plain", Bytes::new())
}

pub(crate) fn not_found() -> Answer {
    plain(StatusCode::NOT_FOUND, "not found\n")
}

pub(crate) fn method_not_allowed() -> Answer {
    let answer = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    and(answer, header::ALLOW, "GET, HEAD, POST")
}

/// To what is not authentic.
pub(crate) fn refused(refusal: Refusal) -> Answer {
    let answer = plain(StatusCode::UNAUTHORIZED, "not authentic\n");
    match refusal {
        Refusal::Unauthorized => and(answer, header::WWW_AUTHENTICATE, "Basic realm=\"callbacks\""),
        Refusal::Unsigned | Refusal::Forged | Refusal::Altered => answer,
    }
}

pub(crate) fn too_large() -> Answer {
    plain(StatusCode::PAYLOAD_TOO_LARGE, "too large\n")
}

/// To a body that does not come to its end in time.
pub(crate) fn too_slow() -> Answer {
    and(plain(StatusCode::REQUEST_TIMEOUT, "too slow\n"), header::CONNECTION, "close")
}

/// To a body that breaks off or is framed wrongly.
pub(crate) fn broken() -> Answer {
    and(plain(StatusCode::BAD_REQUEST, "broken body\n"), header::CONNECTION, "close")
}

/// To a page that panicked.
pub(crate) fn failed() -> Answer {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
}

/// To what could not be noted durably, or has no place: come again.
pub(crate) fn unavailable() -> Answer {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "try again later\n");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    answer
}

fn plain(status: StatusCode, body: &'static str) -> Answer {
    with(status, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

fn with(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let answer = and(answer, header::CONTENT_TYPE, content_type);
    let answer = and(answer, header::CACHE_CONTROL, "no-store");
    and(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn and(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
