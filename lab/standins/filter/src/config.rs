//! The plugin configuration as kuadrant-operator writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What a service does when nothing else is said; the published default.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(20);

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Expressions sent along with every call, such as metric labels.
    #[serde(default)]
    pub request_data: BTreeMap<String, String>,
    /// The services that actions name.
    pub services: BTreeMap<String, Service>,
    /// What to do for which requests, in order.
    pub action_sets: Vec<ActionSet>,
    /// Log level and the like.
    #[serde(default)]
    pub observability: Observability,
}

/// A gRPC service that Envoy knows as a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Which protocol it speaks.
    #[serde(rename = "type")]
    pub kind: ServiceKind,
    /// The name of Envoy's cluster.
    pub endpoint: String,
    /// What a failed call means for the request.
    pub failure_mode: FailureMode,
    /// How long a call may take.
    #[serde(default = "default_timeout", deserialize_with = "timeout")]
    pub timeout: Duration,
}

/// The kinds of services.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum ServiceKind {
    /// Envoy's external authorization.
    #[serde(rename = "auth")]
    Auth,
    /// Check and count in one call.
    #[serde(rename = "ratelimit")]
    RateLimit,
    /// Check only.
    #[serde(rename = "ratelimit-check")]
    RateLimitCheck,
    /// Count only, when the response is known.
    #[serde(rename = "ratelimit-report")]
    RateLimitReport,
    /// Trace export; known, not done here.
    #[serde(rename = "tracing")]
    Tracing,
    /// Services of operator extensions; known, not done here.
    #[serde(rename = "dynamic")]
    Dynamic,
}

/// What a failed call means for the request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FailureMode {
    /// Refuse it.
    Deny,
    /// Let it go on.
    Allow,
}

/// Actions and the requests they are for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionSet {
    /// A hash, for logs.
    pub name: String,
    /// Which requests.
    pub route_rule_conditions: RouteRuleConditions,
    /// What to do; the operator leaves an empty list out.
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// Host names and predicates of a route's rule.
#[derive(Debug, Deserialize)]
pub struct RouteRuleConditions {
    /// Exact names, or `*.` and a domain.
    pub hostnames: Vec<String>,
    /// All must hold.
    #[serde(default)]
    pub predicates: Vec<String>,
}

/// One call to one service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Set on the actions of operator extensions, which are another format.
    #[serde(default, rename = "type")]
    pub extension: Option<String>,
    /// The service's name.
    #[serde(default)]
    pub service: String,
    /// The AuthConfig's host, or the limits' namespace.
    #[serde(default)]
    pub scope: String,
    /// All must hold, or the action is skipped.
    #[serde(default)]
    pub predicates: Vec<String>,
    /// What to send.
    #[serde(default)]
    pub conditional_data: Vec<ConditionalData>,
}

/// Data and when to send it.
#[derive(Debug, Deserialize)]
pub struct ConditionalData {
    /// All must hold, or the data is left out.
    #[serde(default)]
    pub predicates: Vec<String>,
    /// The data.
    #[serde(default)]
    pub data: Vec<Datum>,
}

/// A key and where its value comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Datum {
    /// The value itself.
    Static(Pair),
    /// A CEL expression.
    Expression(Pair),
}

/// Key and value, or key and expression.
#[derive(Debug, Deserialize)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value, or the expression.
    pub value: String,
}

/// Log level and identification of requests.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// A response header that carries the request's id.
    pub http_header_identifier: Option<String>,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub default_level: Option<String>,
}

fn default_timeout() -> Duration {
    DEFAULT_TIMEOUT
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "timeout {text:?} is not a duration such as 200ms or 1m30s"
        ))
    })
}

/// Go's notation: numbers, each with a unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        rest = &rest[letters..];
        total += Duration::try_from_secs_f64(number * seconds).ok()?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("200ms", Some(ms(200))),
            ("1s", Some(ms(1000))),
            ("1m30s", Some(ms(90_000))),
            ("1.5s", Some(ms(1500))),
            ("0s", Some(ms(0))),
            ("", None),
            ("200", None),
            ("fast", None),
            ("-1s", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_service_without_timeout_gets_the_published_default() {
        let service: Service =
            serde_json::from_str(r#"{"type":"auth","endpoint":"a","failureMode":"deny"}"#).unwrap();
        assert_eq!(service.timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            r#"{"type":"magic","endpoint":"a","failureMode":"deny"}"#,
            r#"{"type":"auth","endpoint":"a","failureMode":"maybe"}"#,
            r#"{"type":"auth","endpoint":"a"}"#,
            r#"{"type":"auth","endpoint":"a","failureMode":"deny","timeout":"soon"}"#,
        ] {
            assert!(serde_json::from_str::<Service>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Datum>(r#"{"selector":{"key":"a","value":"b"}}"#).is_err());
    }
}
