//! Puts the parts together, and keeps the limits what the file says.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::limiter::Limiter;
use crate::limits;
use crate::status::Status;
use crate::{http, rls};

/// How often the file is looked at. Only its place and date are, so often costs nothing.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long calls may take to end once the server is asked to.
const DRAIN: Duration = Duration::from_secs(5);

/// The limits file and what was made of it.
pub struct Source {
    path: PathBuf,
    seen: Option<Seen>,
    text: String,
}

/// What tells one version of a file from another. A ConfigMap's file is a link whose target moves.
type Seen = (PathBuf, SystemTime, u64);

impl Source {
    /// Loads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be used: without limits everything would pass.
    pub fn open(path: &Path, limiter: &Limiter, status: &Status) -> Result<Self, String> {
        let mut source = Self {
            path: path.to_path_buf(),
            seen: None,
            text: String::new(),
        };
        source.load(limiter)?;
        status.applied();
        Ok(source)
    }

    /// Loads the file again if it has changed; what cannot be used changes nothing.
    pub fn refresh(&mut self, limiter: &Limiter, status: &Status) {
        match self.load(limiter) {
            Ok(false) => {}
            Ok(true) => {
                status.applied();
                log::info!("{}: new limits are in force", self.path.display());
            }
            Err(error) => {
                status.refused();
                log::error!("{error}; the limits before it stay in force");
            }
        }
    }

    fn load(&mut self, limiter: &Limiter) -> Result<bool, String> {
        let named = |error: String| format!("{}: {error}", self.path.display());
        let seen = see(&self.path);
        if self.seen.is_some() && seen == self.seen {
            return Ok(false);
        }
        let text = std::fs::read_to_string(&self.path).map_err(|error| named(error.to_string()));
        if let Err(error) = text {
            // While a file is being replaced it may be gone; said once, tried again.
            let first = self.seen.is_some() || self.text.is_empty();
            self.seen = None;
            return if first { Err(error) } else { Ok(false) };
        }
        let text = text?;
        let again = text == self.text && !self.text.is_empty();
        self.seen = seen;
        if again {
            return Ok(false);
        }
        let limits = limits::parse(&text).map_err(named)?;
        limiter.configure(limits).map_err(named)?;
        self.text = text;
        Ok(true)
    }
}

fn see(path: &Path) -> Option<Seen> {
    let target = path.canonicalize().ok()?;
    let metadata = target.metadata().ok()?;
    Some((target, metadata.modified().ok()?, metadata.len()))
}

/// Serves both ports until `stop` is done.
///
/// # Errors
/// When the gRPC server ends in any other way.
pub async fn serve(
    grpc: TcpListener,
    web: TcpListener,
    limiter: Arc<Limiter>,
    status: Arc<Status>,
    mut source: Source,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let http = tokio::spawn(http::serve(web, Arc::clone(&limiter), Arc::clone(&status)));
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let routes = rls::routes(&limiter);
    let watch = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            source.refresh(&limiter, &status);
        }
    });
    let server = Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(grpc), async move {
            stop.await;
            let _ = stopping.send(());
        });
    let overdue = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(DRAIN).await;
        }
    };
    let result = tokio::select! {
        result = server => result.map_err(|error| format!("gRPC: {error}")),
        () = overdue => Ok(()),
    };
    watch.abort();
    http.abort();
    result
}
