//! One HTTP exchange as plain data: what was asked, what is answered, and how an injected fault spoils it. The platforms'
//! modules answer; `server` turns answers into bytes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::config::Vendor;
use crate::content::Artifact;
use crate::faults::{Fault, OperationClass};
use crate::rng::Rng;
use crate::world::World;

/// A stalled request is dropped after at least this long, and at most twice as long.
const STALL_REAL: Duration = Duration::from_secs(1);

pub(crate) const HTML_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>We'll be right back</title></head>\
    <body><h1>Something went wrong</h1><p>Our engineers have been notified.</p></body></html>\n";

/// A request, read completely.
pub(crate) struct Inbound {
    pub(crate) method: Method,
    /// Path and query as they came.
    pub(crate) target: String,
    /// The decoded segments of the path.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Inbound {
    pub(crate) fn new(method: Method, uri: &http::Uri, headers: HeaderMap, body: Bytes) -> Inbound {
        let path = uri.path().split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
        let query = uri.query().map(parse_form).unwrap_or_default();
        let target = uri.path_and_query().map_or_else(String::new, |target| target.as_str().to_owned());
        Inbound { method, target, path, query, headers, body }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, if it is a form.
    pub(crate) fn form(&self) -> Option<Vec<(String, String)>> {
        let is_form = self
            .header("content-type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        is_form.then(|| std::str::from_utf8(&self.body).ok().map(parse_form)).flatten()
    }

    /// The body as a JSON object.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(Value::is_object)
    }
}

/// What a form or a query says.
pub(crate) fn parse_form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An answer before it becomes bytes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: AnswerBody,
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    Empty,
    Json(Value),
    Page { content_type: &'static str, text: String },
    File(FileAnswer),
}

/// A file to be streamed.
pub(crate) struct FileAnswer {
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) content_type: &'static str,
    pub(crate) cut: Option<Cut>,
}

/// How a download is spoiled, and after which share of its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) fault: Fault,
    pub(crate) share: f64,
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Answer {
        Answer { status, headers: Vec::new(), body: AnswerBody::Empty }
    }

    pub(crate) fn json(status: StatusCode, value: Value) -> Answer {
        Answer { status, headers: Vec::new(), body: AnswerBody::Json(value) }
    }

    pub(crate) fn ok(value: Value) -> Answer {
        Answer::json(StatusCode::OK, value)
    }

    pub(crate) fn page(status: StatusCode, content_type: &'static str, text: impl Into<String>) -> Answer {
        Answer { status, headers: Vec::new(), body: AnswerBody::Page { content_type, text: text.into() } }
    }

    pub(crate) fn file(artifact: Arc<Artifact>, content_type: &'static str) -> Answer {
        let file = FileAnswer { artifact, content_type, cut: None };
        Answer { status: StatusCode::OK, headers: Vec::new(), body: AnswerBody::File(file) }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a request is, for the choice of its faults.
pub(crate) struct Operation {
    pub(crate) vendor: Vendor,
    pub(crate) class: OperationClass,
    /// Equal for the repetitions of one operation.
    pub(crate) key: String,
}

/// Performs an operation, or spoils it. `error_page` gives the platform's own shape of 409, 429, 500 and 503.
/// `None`: the connection is to be dropped without an answer.
pub(crate) async fn perform(
    world: &World,
    operation: &Operation,
    error_page: impl Fn(Fault) -> Answer,
    work: impl Future<Output = Answer>,
) -> Option<Answer> {
    let drawn = world.change(|s| s.plan.draw(operation.vendor, operation.class, &operation.key));
    let Some(fault) = drawn else { return Some(work.await) };
    let mut rng = Rng::keyed(world.seed, &format!("spoil/{}", operation.key));
    match fault {
        Fault::CutAnnounced | Fault::CutChunked | Fault::CutClean => {
            let mut answer = work.await;
            if let AnswerBody::File(file) = &mut answer.body {
                file.cut = Some(Cut { fault, share: rng.between_f64(0.1, 0.9) });
                world.change(|s| s.count_fault(fault.name()));
            }
            return Some(answer);
        }
        Fault::TimeOut => {
            if operation.class == OperationClass::Write {
                drop(work.await);
            }
            world.change(|s| s.count_fault(fault.name()));
            world.pause(STALL_REAL.mul_f64(1.0 + rng.unit())).await;
            return None;
        }
        _ => world.change(|s| s.count_fault(fault.name())),
    }
    Some(match fault {
        Fault::HtmlOk => Answer::page(StatusCode::OK, "text/html; charset=utf-8", HTML_PAGE),
        Fault::HtmlBadGateway => Answer::page(StatusCode::BAD_GATEWAY, "text/html", HTML_PAGE),
        other => error_page(other),
    })
}
