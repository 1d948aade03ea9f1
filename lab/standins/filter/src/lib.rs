//! The lab's stand-in for Kuadrant's wasm-shim. See the README beside the workspace.
//!
//! Everything but `plugin` is plain Rust without a host, and tested as such.

pub mod attributes;
pub mod auth_api;
pub mod config;
pub mod expression;
pub mod flow;
pub mod functions;
pub mod host;
pub mod hosts;
pub mod plan;
#[cfg(target_arch = "wasm32")]
mod plugin;
pub mod usage;

use config::Config;
use plan::Plan;

/// Reads and compiles a configuration.
///
/// # Errors
/// When any part of it cannot be understood.
pub fn plan(configuration: &[u8]) -> Result<Plan, String> {
    let config: Config = serde_json::from_slice(configuration)
        .map_err(|error| format!("not a configuration: {error}"))?;
    Plan::new(config)
}
