//! What `/status` tells.

use std::sync::Mutex;

use chrono::{NaiveDateTime, Utc};
use serde::Serialize;

/// When it started, and which limits are in force.
#[derive(Debug)]
pub struct Status(Mutex<Facts>);

#[derive(Clone, Copy, Debug, Serialize)]
struct Facts {
    #[serde(serialize_with = "iso")]
    started_at: NaiveDateTime,
    #[serde(serialize_with = "iso")]
    config_applied_at: NaiveDateTime,
    config_version: u64,
    config_err_since: u64,
}

impl Default for Status {
    fn default() -> Self {
        let now = Utc::now().naive_utc();
        Self(Mutex::new(Facts {
            started_at: now,
            config_applied_at: now,
            config_version: 0,
            config_err_since: 0,
        }))
    }
}

impl Status {
    /// New limits are in force.
    pub fn applied(&self) {
        self.change(|facts| {
            facts.config_applied_at = Utc::now().naive_utc();
            facts.config_version += 1;
            facts.config_err_since = 0;
        });
    }

    /// New limits were refused; the old ones are in force.
    pub fn refused(&self) {
        self.change(|facts| facts.config_err_since += 1);
    }

    /// The facts as JSON.
    pub fn json(&self) -> serde_json::Value {
        self.0
            .lock()
            .ok()
            .and_then(|facts| serde_json::to_value(*facts).ok())
            .unwrap_or_default()
    }

    fn change(&self, change: impl FnOnce(&mut Facts)) {
        if let Ok(mut facts) = self.0.lock() {
            change(&mut facts);
        }
    }
}

fn iso<S: serde::Serializer>(time: &NaiveDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.and_utc().to_rfc3339().trim_end_matches("+00:00"))
}
