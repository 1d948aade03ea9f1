//! The lab's stand-in for limitador-server. See the README beside the workspace.

pub mod args;
pub mod http;
pub mod limiter;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod rls;
pub mod serve;
pub mod status;
