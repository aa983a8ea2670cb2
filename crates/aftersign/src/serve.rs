//! `aftersign serve`: receives callbacks and carries envelopes home until it is told to stop.
//!
//! It starts from the inside out (store, archive, engine, listeners), so that nothing is acknowledged before it
//! can be kept, and stops from the outside in: first no new callbacks, then no new steps, then the store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aftersign_core::journal::{Action, Entry};
use aftersign_core::seams::Clock;
use aftersign_engine::{EngineMetrics, MailMetrics};
use aftersign_intake::{Intake, IntakeMetrics};
use aftersign_store::Store;
use aftersign_web::Admin;
use anyhow::{Context, anyhow};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::store::{Role, open_store};
use crate::system::{SystemClock, SystemEntropy};
use crate::wiring;

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let callbacks = listen(settings.listen, "callbacks", "[server] listen").await?;
    let admin = listen(settings.admin_listen, "the admin pages", "[admin] listen").await?;
    let store = open_store(settings, Role::Server)?;
    probe_destinations(settings).await?;
    note_start(&*store).await?;

    let mut registry = Registry::default();
    let mail = wiring::mail_desk(settings, MailMetrics::registered(&mut registry))?;
    let metrics = EngineMetrics::registered(&mut registry);
    let engine = wiring::engine(settings, Arc::clone(&store), metrics, mail)?;
    let pages = Arc::new(wiring::pages(settings, &engine));
    pages.register(&mut registry);
    let intake = Intake::new(
        wiring::intake_accounts(settings),
        Arc::clone(&store) as _,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        IntakeMetrics::new(&mut registry),
        settings.intake,
    )
    .with_fallback(Arc::new(move |request| {
        let pages = Arc::clone(&pages);
        Box::pin(async move { pages.answer(request).await })
    }));
    let admin_pages = Admin::new(registry, Arc::clone(&store) as _, Arc::clone(&store) as _);
    warn_of_the_vault(settings);
    if settings.time_scale != 1.0 {
        tracing::warn!(time_scale = settings.time_scale, "waits are divided: this is a rehearsal");
    }
    tracing::info!(
        callbacks = %settings.listen, admin = %settings.admin_listen, accounts = settings.accounts.len(),
        "aftersign serves"
    );

    let mut parts = JoinSet::new();
    let front = Arc::new(intake).serve(callbacks, shutdown.clone());
    parts.spawn(async move { ("the front door", front.await) });
    let admin_pages = admin_pages.serve(admin, shutdown.clone());
    parts.spawn(async move { ("the admin listener", admin_pages.await) });
    let work = engine.run(shutdown.clone());
    parts.spawn(async move {
        work.await;
        ("the engine", Ok(()))
    });
    let unasked = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = parts.join_next() => ended,
    };
    tracing::info!("stopping");
    shutdown.cancel();
    // Whatever part failed, the others end in order and the store is closed.
    let mut failure =
        unasked.map(|ended| failed(ended).unwrap_or_else(|| anyhow!("it ended without being told to")));
    while let Some(ended) = parts.join_next().await {
        failure = failure.or(failed(ended));
    }
    store.close().await?;
    if let Some(failure) = failure {
        return Err(failure.context("the server had to stop"));
    }
    tracing::info!("stopped; nothing is lost");
    Ok(())
}

/// Without a vault key nobody can give access: whoever runs the server learns it before senders do.
fn warn_of_the_vault(settings: &Settings) {
    let asking = settings.accounts.iter().filter(|account| account.asks_senders());
    let asking: Vec<&str> = asking.map(|account| account.id().as_str()).collect();
    if settings.vault_keys.is_empty() && !asking.is_empty() {
        tracing::warn!(
            accounts = asking.join(", "),
            "no vault key is configured: senders of these accounts cannot give access; see [vault] keys"
        );
    }
}

/// Why a part ended, unless it ended well.
fn failed(ended: Result<(&str, std::io::Result<()>), JoinError>) -> Option<anyhow::Error> {
    match ended {
        Ok((_, Ok(()))) => None,
        Ok((name, Err(error))) => Some(anyhow::Error::new(error).context(format!("{name} failed"))),
        Err(error) => Some(anyhow::Error::new(error).context("a part broke off")),
    }
}

async fn listen(address: SocketAddr, what: &str, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!(
                "cannot listen on {address} for {what}: the port is in use. Stop what uses it or change {key}"
            )
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address} for {what}; see {key}")),
    })
}

/// An archive that cannot be written to is no reason to miss callbacks: they are noted, the rest waits.
async fn probe_destinations(settings: &Settings) -> anyhow::Result<()> {
    for settings in &settings.destinations {
        let destination = wiring::destination(settings)?;
        let probed = tokio::time::timeout(Duration::from_secs(10), destination.probe()).await;
        match probed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(destination = %settings.id, error = error.chain(), "the archive is not writable; transfers wait for it");
            }
            Err(_) => {
                tracing::error!(destination = %settings.id, "the archive does not answer; transfers wait for it")
            }
        }
    }
    Ok(())
}

async fn note_start(store: &dyn Store) -> anyhow::Result<()> {
    let entry = Entry {
        at: SystemClock.now(),
        actor: "server".into(),
        action: Action::ServerStarted,
        account: String::new(),
        envelope: String::new(),
        detail: format!("version {}", env!("CARGO_PKG_VERSION")),
    };
    store.append(entry).await.context("cannot write the journal")
}
