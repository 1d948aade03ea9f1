//! The lab's stand-in for limitador-server.

use std::process::ExitCode;
use std::sync::Arc;

use limit_server::args::{self, Args, Command};
use limit_server::limiter::Limiter;
use limit_server::metrics::Metrics;
use limit_server::serve::{Source, serve};
use limit_server::status::Status;
use limit_server::{limits, logging};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    logging::start();
    let done = args::parse(std::env::args().skip(1)).and_then(|command| match command {
        Command::Help => {
            print!("{}", args::HELP);
            Ok(())
        }
        Command::Version => {
            println!(
                "limitador-server, the lab's stand-in {}",
                env!("CARGO_PKG_VERSION")
            );
            Ok(())
        }
        Command::Serve(args) => run(*args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limitador-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), String> {
    logging::set_verbosity(args.verbosity);
    if args.validate {
        let path = args.limits.display();
        let text = std::fs::read_to_string(&args.limits).map_err(|e| format!("{path}: {e}"))?;
        return limits::parse(&text)
            .map(|_| ())
            .map_err(|e| format!("{path}: {e}"));
    }
    // One thread is plenty for counters in memory, and each would cost a stack.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(listen(args))
}

async fn listen(args: Args) -> Result<(), String> {
    let metrics = Metrics::new(args.labels, args.limit_names);
    let limiter = Arc::new(Limiter::new(args.counters, metrics, args.headers));
    let status = Arc::new(Status::default());
    let source = Source::open(&args.limits, &limiter, &status)?;
    let bind = |address| async move {
        TcpListener::bind(address)
            .await
            .map_err(|error| format!("{address}: {error}"))
    };
    let (grpc, web) = (bind(args.grpc).await?, bind(args.http).await?);
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    log::info!(
        "gRPC on {}, HTTP on {}, counters in memory",
        args.grpc,
        args.http
    );
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        log::info!("stopping");
    };
    serve(grpc, web, limiter, status, source, stop).await
}
