//! The three calls, over the limitador crate's limiter.

use std::collections::HashMap;

use limitador::counter::Counter;
use limitador::limit::{Context, Limit, Namespace};
use limitador::{CheckResult, RateLimiter};
use serde_json::{Value as Json, json};
use standins_wire::{Code, HeaderValue, RateLimitRequest, RateLimitResponse};

use crate::limits::guarded;
use crate::metrics::{Metric, Metrics};

/// Limits, their counters, and what is told of them.
pub struct Limiter {
    limiter: RateLimiter,
    metrics: Metrics,
    headers: bool,
}

impl Limiter {
    /// A limiter without limits.
    pub fn new(counters: u64, metrics: Metrics, headers: bool) -> Self {
        Self {
            limiter: RateLimiter::new(counters),
            metrics,
            headers,
        }
    }

    /// Puts these limits in force; counters of limits that stay are kept.
    ///
    /// # Errors
    /// When the limiter cannot.
    pub fn configure(&self, limits: Vec<Limit>) -> Result<(), String> {
        // Twice: where a limit goes, the crate's first pass leaves the others' maximum as it was.
        guarded(|| self.limiter.configure_with(limits.clone()))?;
        guarded(|| self.limiter.configure_with(limits))
    }

    /// `ShouldRateLimit`: counts, unless that is over a limit.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn should_rate_limit(
        &self,
        request: &RateLimitRequest,
    ) -> Result<RateLimitResponse, String> {
        let Some(call) = Call::new(request) else {
            return Ok(RateLimitResponse::default());
        };
        let mut result = guarded(|| {
            self.limiter
                .check_rate_limited_and_update(&call.namespace, &call.context, call.addend)
        })?;
        let mut response = self.judge(&call, &result);
        if !result.limited {
            self.count(Metric::AuthorizedHits, call.addend, &call, None);
        }
        if self.headers {
            response.response_headers_to_add = headers(&mut result);
        }
        Ok(response)
    }

    /// `CheckRateLimit`: whether one more would be over a limit; counts nothing.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn check(&self, request: &RateLimitRequest) -> Result<RateLimitResponse, String> {
        let Some(call) = Call::new(request) else {
            return Ok(RateLimitResponse::default());
        };
        let result = guarded(|| {
            self.limiter
                .is_rate_limited(&call.namespace, &call.context, 1)
        })?;
        Ok(self.judge(&call, &result))
    }

    /// `Report`: counts, whatever the limits.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn report(&self, request: &RateLimitRequest) -> Result<RateLimitResponse, String> {
        let Some(call) = Call::new(request) else {
            return Ok(RateLimitResponse::default());
        };
        guarded(|| {
            self.limiter
                .update_counters(&call.namespace, &call.context, call.addend)
        })?;
        self.count(Metric::AuthorizedHits, call.addend, &call, None);
        Ok(response(Code::Ok))
    }

    /// The limits of a namespace.
    pub fn limits(&self, namespace: &str) -> Json {
        let limits = self.limiter.get_limits(&Namespace::from(namespace));
        limits.iter().map(limit_json).collect()
    }

    /// The counters of a namespace that have counted in their window.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn counters(&self, namespace: &str) -> Result<Json, String> {
        let counters = guarded(|| self.limiter.get_counters(&Namespace::from(namespace)))?;
        Ok(counters.iter().map(counter_json).collect())
    }

    /// Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn judge(&self, call: &Call, result: &CheckResult) -> RateLimitResponse {
        if result.limited {
            self.count(Metric::LimitedCalls, 1, call, result.limit_name.as_deref());
            response(Code::OverLimit)
        } else {
            self.count(Metric::AuthorizedCalls, 1, call, None);
            response(Code::Ok)
        }
    }

    fn count(&self, metric: Metric, amount: u64, call: &Call, limit_name: Option<&str>) {
        let namespace = call.namespace.as_ref();
        self.metrics
            .add(metric, amount, namespace, limit_name, &call.context);
    }
}

/// A request as the limiter takes it.
struct Call {
    namespace: Namespace,
    context: Context<'static>,
    addend: u64,
}

impl Call {
    /// Nothing for a request without a domain, which nobody can answer.
    fn new(request: &RateLimitRequest) -> Option<Self> {
        if request.domain.is_empty() {
            return None;
        }
        let descriptors = request.descriptors.iter().map(|descriptor| {
            let entries = descriptor.entries.iter();
            entries
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect::<HashMap<_, _>>()
        });
        let mut context = Context::default();
        context.list_binding("descriptors".to_string(), descriptors.collect());
        Some(Self {
            namespace: request.domain.clone().into(),
            context,
            // Protobuf cannot tell 0 from absent, and absent means 1.
            addend: u64::from(request.hits_addend.max(1)),
        })
    }
}

fn response(code: Code) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code.into(),
        response_headers_to_add: Vec::new(),
    }
}

/// The headers of draft-polli-ratelimit-headers-03, by name.
fn headers(result: &mut CheckResult) -> Vec<HeaderValue> {
    let mut headers: Vec<HeaderValue> = result
        .response_header()
        .into_iter()
        .map(|(key, value)| HeaderValue { key, value })
        .collect();
    headers.sort_by(|a, b| a.key.cmp(&b.key));
    headers
}

fn limit_json(limit: &Limit) -> Json {
    let sorted = |sources: std::collections::HashSet<String>| {
        let mut sources: Vec<String> = sources.into_iter().collect();
        sources.sort();
        sources
    };
    json!({
        "id": limit.id(),
        "namespace": limit.namespace().as_ref(),
        "max_value": limit.max_value(),
        "seconds": limit.seconds(),
        "name": limit.name(),
        "conditions": sorted(limit.conditions()),
        "variables": sorted(limit.variables()),
    })
}

fn counter_json(counter: &Counter) -> Json {
    json!({
        "limit": limit_json(counter.limit()),
        "set_variables": counter.set_variables(),
        "remaining": counter.remaining(),
        "expires_in_seconds": counter.expires_in().map(|left| left.as_secs()),
    })
}
