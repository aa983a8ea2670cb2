//! The HTTP side: one listener for all platforms, the ledger and the controls. It speaks to connections directly, because a
//! world with faults must be able to break off an answer, or to give none at all.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::exchange::{Answer, AnswerBody, FileAnswer, Inbound};
use crate::faults::Fault;
use crate::world::World;
use crate::{control, dropbox_sign, esignanywhere, onespan, scrive};

/// No request to the sandbox needs more.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// After the end of the world, open exchanges get this long.
const FAREWELL: Duration = Duration::from_secs(1);
/// A failing accept (too many open files) is tried again after this long.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Why a connection is broken off: on purpose.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sandbox dropped the connection on purpose")
    }
}

impl std::error::Error for Dropped {}

/// Accepts connections until the world ends.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = world.stopping.cancelled() => return,
        };
        match accepted {
            Ok((socket, _)) => {
                let shared = Arc::clone(&world);
                world.tasks.spawn(connection(shared, socket));
            }
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                world.pause(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

async fn connection(world: Arc<World>, socket: TcpStream) {
    // Small answers must not wait for more to say.
    drop(socket.set_nodelay(true));
    let service = service_fn(|request| {
        let shared = Arc::clone(&world);
        async move { exchange(&shared, request).await.ok_or(Dropped) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to the sandbox ended");
            }
            return;
        }
        () = world.stopping.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    drop(tokio::time::timeout(FAREWELL, serving).await);
}

async fn exchange(world: &Arc<World>, request: Request<Incoming>) -> Option<Response<Body>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(Body::new(body), REQUEST_BYTES_MAX).await else {
        return Some(render(world, Answer::empty(StatusCode::PAYLOAD_TOO_LARGE)).await);
    };
    let inbound = Inbound::new(parts.method, &parts.uri, parts.headers, body);
    let path: Vec<&str> = inbound.path.iter().map(String::as_str).collect();
    let answer = match path.as_slice() {
        ["dropbox-sign", "v3", rest @ ..] => dropbox_sign::handle(world, &inbound, rest).await?,
        ["esignanywhere", api, version, rest @ ..] if api.eq_ignore_ascii_case("api") => {
            esignanywhere::handle(world, &inbound, version, rest).await?
        }
        ["esignanywhere", rest @ ..] => esignanywhere::handle_grant(world, &inbound, rest).await?,
        ["dropbox-sign", "oauth", rest @ ..] => dropbox_sign::handle_grant(world, &inbound, rest).await?,
        ["onespan", rest @ ..] => onespan::handle(world, &inbound, rest).await?,
        ["scrive", rest @ ..] => scrive::handle(world, &inbound, rest).await?,
        _ => control::handle(world, &inbound, &path).await,
    };
    Some(render(world, answer).await)
}

async fn render(world: &Arc<World>, answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    match answer.body {
        AnswerBody::Empty => {}
        AnswerBody::Json(value) => {
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            *response.body_mut() = Body::from(value.to_string());
        }
        AnswerBody::Page { content_type, text } => {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            *response.body_mut() = Body::from(text);
        }
        AnswerBody::File(file) => return render_file(world, file, response).await,
    }
    response
}

async fn render_file(world: &Arc<World>, file: FileAnswer, mut response: Response<Body>) -> Response<Body> {
    let artifact = Arc::clone(&file.artifact);
    let Ok(prepared) = tokio::task::spawn_blocking(move || artifact.prepared().clone()).await else {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    let total = prepared.bytes;
    let sent = file.cut.map_or(total, |cut| share_of(total, cut.share));
    let announced = match file.cut.map(|cut| cut.fault) {
        Some(Fault::CutChunked) => None,
        Some(Fault::CutClean) => Some(sent),
        _ => Some(total),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    if let Some(length) = announced {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let breaks = announced != Some(sent);
    let chunks = prepared.content.chunks();
    let whole = file.cut.is_none();
    let state = (chunks, sent, Arc::clone(world), file.artifact);
    let body = stream::unfold(state, move |(mut chunks, left, world, artifact)| async move {
        if left == 0 {
            return None;
        }
        let mut chunk = chunks.next()?;
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - chunk.len() as u64;
        if left == 0 && whole {
            artifact.count_served();
            world.change(|s| s.downloads += 1);
        }
        Some((Ok::<Bytes, Infallible>(chunk), (chunks, left, world, artifact)))
    });
    *response.body_mut() = if breaks {
        let end = stream::once(async { Err(io::Error::from(io::ErrorKind::ConnectionReset)) });
        let body = futures_util::StreamExt::map(body, |chunk| chunk.map_err(|never| match never {}));
        Body::from_stream(futures_util::StreamExt::chain(body, end))
    } else {
        Body::from_stream(body)
    };
    response
}

/// At least one byte short of everything, so that a cut is one.
fn share_of(total: u64, share: f64) -> u64 {
    ((total as f64 * share) as u64).clamp(1, total.saturating_sub(1).max(1))
}
