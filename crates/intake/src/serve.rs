//! The listener: accepts within bounds, serves HTTP/1.1, and stops without breaking off what it began.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::door::Intake;
use crate::limits::ACCEPT_RETRY_AFTER;

impl Intake {
    /// Serves callbacks until `shutdown`, then lets requests in flight finish, at most for the drain timeout.
    /// Connections beyond the limit wait in the listener's backlog.
    ///
    /// # Errors
    /// None at present: a failed `accept` is logged and tried again.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(self.config.limits.connections_max));
        let connections = TaskTracker::new();
        let broken_off = CancellationToken::new();
        while let Some((stream, remote, place)) = accept(&listener, &places, &shutdown).await {
            // Children, so that connections do not contend for one token's lock.
            let serving = Arc::clone(&self).connection(stream, remote, place, shutdown.child_token());
            let broken_off = broken_off.child_token();
            connections.spawn(async move { broken_off.run_until_cancelled(serving).await });
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(self.config.limits.drain_timeout, connections.wait()).await.is_err() {
            warn!(connections = connections.len(), "the front door closes with requests in flight");
            broken_off.cancel();
            connections.wait().await;
        }
        Ok(())
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        remote: String,
        _place: OwnedSemaphorePermit,
        shutdown: CancellationToken,
    ) {
        let _counted = self.metrics.connection();
        if let Err(failure) = stream.set_nodelay(true) {
            debug!(error = %failure, "a connection ended as it began");
            return;
        }
        let limits = self.config.limits;
        let remote: Arc<str> = remote.into();
        let service = service_fn(move |request: Request<Incoming>| {
            let (intake, remote) = (Arc::clone(&self), Arc::clone(&remote));
            async move { Ok::<_, Infallible>(intake.answer(request, &remote).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes_max)
            .pipeline_flush(true)
            // A client may close its side once it has sent all; it is answered nevertheless.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(failure) = ended {
            debug!(error = %failure, "a connection ended early");
        }
    }
}

/// The next connection, once there is a place for it. `None` when it is time to stop.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, String, OwnedSemaphorePermit)> {
    let next = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => return Some((stream, remote.to_string(), place)),
                Err(failure) => {
                    warn!(error = %failure, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY_AFTER).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(next).await.flatten()
}
