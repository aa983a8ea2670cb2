//! The server that `cargo xtask bench intake` loads: the real front door over three kinds of ground.
//!
//! `sqlite` is what an installation runs, `none` is the same front door with an inbox that forgets at once, and
//! `bare` only reads the body and answers. Their ratios say what durability and what our own path cost on the
//! machine at hand. Hidden from `--help`: it listens without a config and is of no use but to the benchmark.
//!
//! It talks to the one who started it by standard streams: one line with the address it listens on; when
//! standard input ends it stops, lets requests in flight finish and prints one line of JSON with what the
//! store holds.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aftersign_core::callback::CallbackSecrets;
use aftersign_core::ids::AccountId;
use aftersign_core::secret::Secret;
use aftersign_intake::{Intake, IntakeAccount, IntakeConfig, IntakeMetrics};
use aftersign_store::{
    Board, CallbackFilter, Inbox, NewCallback, Noted, PageRequest, SqliteOptions, SqliteStore, StoreError,
};
use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::system::{SystemClock, SystemEntropy};

/// Rows per page when what was noted is counted, in rows: the store's largest page.
const COUNT_PAGE_ROWS: usize = 500;

/// What answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Ground {
    /// The front door over a SQLite store.
    Sqlite,
    /// The front door over an inbox that forgets.
    None,
    /// An HTTP service that reads the body and answers.
    Bare,
}

/// How the benchmark wants it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BenchServerArgs {
    /// What answers.
    #[arg(long, value_enum)]
    store: Ground,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder of the database.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// The platform whose callbacks will come.
    #[arg(long, value_name = "NAME")]
    platform: String,
    /// Number of accounts: bench-0, bench-1, …
    #[arg(long, value_name = "N", default_value_t = 1)]
    accounts: u16,
    /// The accounts' path secret.
    #[arg(long, value_name = "TEXT")]
    path_secret: String,
    /// The key that callbacks are signed with.
    #[arg(long, value_name = "TEXT")]
    key: String,
}

/// Serves until standard input ends.
pub(crate) async fn run(args: BenchServerArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await.context("cannot listen")?;
    println!("{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    std::thread::spawn(move || {
        // An error is an end too.
        let _: std::io::Result<usize> = std::io::stdin().read_to_end(&mut Vec::new());
        stop.cancel();
    });
    match args.store {
        Ground::Bare => serve_bare(listener, shutdown).await,
        Ground::None => front_door(&args, Arc::new(Forgetful))?.serve(listener, shutdown).await?,
        Ground::Sqlite => {
            let path = args.dir.join("bench.db");
            let store = SqliteStore::open(SqliteOptions::new(path, Arc::new(SystemEntropy)))?;
            front_door(&args, Arc::clone(&store) as _)?.serve(listener, shutdown).await?;
            let overview = store.overview().await?;
            let rows = count(&*store).await?;
            println!(
                r#"{{"rows":{rows},"callbacks":{},"repeats":{}}}"#,
                overview.callbacks, overview.repeats
            );
        }
    }
    Ok(())
}

fn front_door(args: &BenchServerArgs, inbox: Arc<dyn Inbox>) -> anyhow::Result<Arc<Intake>> {
    let platform = aftersign_platforms::by_name(&args.platform).context("there is no such platform")?;
    let accounts = (0..args.accounts).map(|number| IntakeAccount {
        id: AccountId::new(format!("bench-{number}")),
        platform,
        path_secrets: vec![Secret::new(args.path_secret.as_str())],
        secrets: CallbackSecrets { keys: vec![Secret::new(args.key.as_str())] },
        basic: None,
    });
    Ok(Arc::new(Intake::new(
        accounts.collect(),
        inbox,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        IntakeMetrics::new(&mut Registry::default()),
        IntakeConfig::default(),
    )))
}

/// Notes nothing and says that it did.
struct Forgetful;

#[async_trait]
impl Inbox for Forgetful {
    async fn note_down(&self, _: NewCallback) -> Result<Noted, StoreError> {
        Ok(Noted::First)
    }
    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Counts the rows themselves: the kept counts could be wrong in the same way as the acknowledgements.
async fn count(board: &dyn Board) -> Result<usize, StoreError> {
    let mut page = PageRequest { cursor: None, limit: COUNT_PAGE_ROWS };
    let mut rows = 0;
    loop {
        let listing = board.callbacks(&CallbackFilter::default(), &page).await?;
        rows += listing.rows.len();
        match listing.next_cursor {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(rows),
        }
    }
}

async fn serve_bare(listener: TcpListener, shutdown: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        // Without it the benchmark would measure the kernel's patience.
        let _: std::io::Result<()> = stream.set_nodelay(true);
        tokio::spawn(
            http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer_bare)),
        );
    }
}

async fn answer_bare(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello API Event Received")));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(response)
}
