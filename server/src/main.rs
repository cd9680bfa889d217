//! The binary: command line, configuration, wiring, and the HTTP routes that are no screen.
#![recursion_limit = "256"]

mod agent;
mod api;
mod cli;
mod config;
mod demo;
mod descriptors;
mod exchange;
mod housekeeping;
mod http;
mod key_file;
mod keys;
mod parts;
mod ranges;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posthorn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the log on standard error, as `RUST_LOG` wants it or else like this.
fn start_log(otherwise: &str) {
    use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| otherwise.to_owned());
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(otherwise));
    tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())))
        .init();
}
