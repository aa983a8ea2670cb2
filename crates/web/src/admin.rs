//! The listener and its pages.

use std::future::IntoFuture as _;
use std::io;
use std::sync::Arc;

use aftersign_store::{Board, Inbox};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::limits::{DRAIN_TIMEOUT, STORE_TIMEOUT};
use crate::overview;
use crate::readiness::Readiness;

const INDEX: &str = "\
Aftersign, admin listener

/healthz   200 while the process lives
/readyz    200 once callbacks can be durably noted
/metrics   metrics in the OpenMetrics text format
";

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin listener.
pub struct Admin {
    registry: Registry,
    board: Arc<dyn Board>,
    readiness: Readiness,
}

impl Admin {
    /// An admin listener that shows the metrics registered so far.
    pub fn new(registry: Registry, inbox: Arc<dyn Inbox>, board: Arc<dyn Board>) -> Self {
        Self { registry, board, readiness: Readiness::new(inbox) }
    }

    /// Serves until `shutdown`, then lets requests in flight finish for a moment.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let stopping = shutdown.clone();
        let serving =
            axum::serve(listener, router(Arc::new(self))).with_graceful_shutdown(shutdown.cancelled_owned());
        let too_long = async move {
            stopping.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        };
        tokio::select! {
            served = serving.into_future() => served,
            () = too_long => {
                warn!("the admin listener closes with requests in flight");
                Ok(())
            }
        }
    }
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn(guard))
        .with_state(admin)
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    match admin.readiness.now().await {
        Ok(()) => "ok\n".into_response(),
        Err(unready) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", unready.as_str())).into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let overview = match tokio::time::timeout(STORE_TIMEOUT, admin.board.overview()).await {
        Ok(Ok(overview)) => Some(overview),
        Ok(Err(failure)) => {
            warn!(error = %failure, "metrics without the store's counts");
            None
        }
        Err(_) => {
            warn!("metrics without the store's counts: it does not answer");
            None
        }
    };
    let mut page = String::new();
    let encoded = text::encode_registry(&mut page, &admin.registry)
        .and_then(|()| text::encode_registry(&mut page, &overview::registry(overview.as_ref())))
        .and_then(|()| text::encode_eof(&mut page));
    match encoded {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response(),
        Err(failure) => {
            error!(error = %failure, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n").into_response()
        }
    }
}

/// Headers that keep a browser from doing more with these pages than show them.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let guards = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in guards {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
