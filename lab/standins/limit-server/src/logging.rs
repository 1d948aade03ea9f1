//! Log lines on standard error.

use log::{LevelFilter, Log, Metadata, Record};

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // Dependencies' chatter is not what -v asks for.
        let ours = record.target().starts_with("limit");
        if self.enabled(record.metadata()) && ours {
            eprintln!("{:5} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Starts to log; panics, which mistakes in limits can cause, become lines of the log.
pub fn start() {
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    std::panic::set_hook(Box::new(|panic| log::warn!("{panic}")));
}

/// Logs more for each `-v`.
pub fn set_verbosity(verbosity: usize) {
    log::set_max_level(match verbosity {
        0..=2 => LevelFilter::Info,
        3 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}
