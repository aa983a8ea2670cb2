//! `aftersign sandbox`: the world of platforms alone, for trying a config and for other people's tests.

use std::net::SocketAddr;

use aftersign_sandbox::{FaultProfile, Sandbox, SandboxConfig, Vendor};
use anyhow::Context;

/// How the world is to be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SandboxArgs {
    /// Where to listen; nothing is protected here, keep it on loopback.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Seed of everything that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How badly the platforms behave: off, normal or hard.
    #[arg(long, value_name = "PROFILE", default_value_t = FaultProfile::Off)]
    faults: FaultProfile,
    /// Divides every wait of the world; 3600 makes an hour last a second.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    time_scale: f64,
    /// Forget a callback URL after ten failures in a row, as one of the platforms does.
    #[arg(long)]
    clear_callback_url: bool,
    /// Days of the world until the seal of a completed document is extended, where a platform does that.
    #[arg(long, value_name = "DAYS", default_value_t = SandboxConfig::default().extension_after_days)]
    extension_after_days: f64,
}

/// Plays until Ctrl-C.
pub(crate) async fn run(args: SandboxArgs) -> anyhow::Result<()> {
    let sandbox = Sandbox::start(SandboxConfig {
        listen: args.listen,
        seed: args.seed,
        faults: args.faults,
        time_scale: args.time_scale,
        clear_callback_url: args.clear_callback_url,
        extension_after_days: args.extension_after_days,
        ..SandboxConfig::default()
    })
    .await?;
    println!("The sandbox plays on http://{}", sandbox.local_addr());
    for vendor in Vendor::ALL {
        println!("  {:<14} base_url = \"{}\"", vendor.name(), sandbox.base_url(vendor));
    }
    println!("\nGET / explains the control URLs; GET /ledger shows what happened. Ctrl-C ends it.");
    tokio::signal::ctrl_c().await.context("cannot listen for Ctrl-C")?;
    sandbox.stop().await;
    Ok(())
}
