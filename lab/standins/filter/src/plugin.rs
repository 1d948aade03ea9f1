//! The filter as Envoy sees it: turns callbacks into steps of a flow, and steps into host calls.

use std::collections::HashMap;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};

use crate::config::Config;
use crate::flow::{Call, Flow, GRPC_UNAVAILABLE, Refusal, Start, Step};
use crate::host::{Headers, Host, header};
use crate::plan::Plan;

const REQUEST_ID: &str = "x-request-id";
/// Passed on, so that the services' work belongs to the caller's trace.
const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    /// Absent until a configuration was understood: then every request is refused.
    plan: Option<Rc<Plan>>,
    metrics: Option<Rc<Metrics>>,
}

/// Counters under the published names.
struct Metrics {
    configs: u32,
    hits: u32,
    misses: u32,
    allowed: u32,
    denied: u32,
    errors: u32,
}

impl Metrics {
    fn define() -> Self {
        let counter = |name| hostcalls::define_metric(MetricType::Counter, name).unwrap_or(0);
        Self {
            configs: counter("kuadrant.configs"),
            hits: counter("kuadrant.hits"),
            misses: counter("kuadrant.misses"),
            allowed: counter("kuadrant.allowed"),
            denied: counter("kuadrant.denied"),
            errors: counter("kuadrant.errors"),
        }
    }
}

fn count(metric: u32) {
    // A lost count must not stop a request.
    let _ = hostcalls::increment_metric(metric, 1);
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let metrics = self
            .metrics
            .get_or_insert_with(|| Rc::new(Metrics::define()));
        count(metrics.configs);
        self.plan = None;
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        match compile(&configuration) {
            Ok(plan) => {
                self.plan = Some(Rc::new(plan));
                log::info!("configured");
                true
            }
            Err(error) => {
                log::error!("every request is refused until this is corrected: {error}");
                false
            }
        }
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter {
            plan: self.plan.clone(),
            metrics: self.metrics.clone(),
            envoy: Envoy::default(),
            flow: None,
            waiting: None,
            reports: HashMap::new(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn compile(configuration: &[u8]) -> Result<Plan, String> {
    let config: Config = serde_json::from_slice(configuration)
        .map_err(|error| format!("not a configuration: {error}"))?;
    proxy_wasm::set_log_level(match config.observability.default_level.as_deref() {
        Some(level) if level.eq_ignore_ascii_case("debug") => LogLevel::Debug,
        Some(level) if level.eq_ignore_ascii_case("info") => LogLevel::Info,
        Some(level) if level.eq_ignore_ascii_case("error") => LogLevel::Error,
        _ => LogLevel::Warn,
    });
    Plan::new(config)
}

/// The host calls for one request.
#[derive(Default)]
struct Envoy {
    responding: bool,
}

impl Host for Envoy {
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, String> {
        hostcalls::get_property(path.to_vec())
            .map_err(|status| format!("attribute {}: {status:?}", path.join(".")))
    }

    fn request_headers(&self) -> Result<Headers, String> {
        headers(MapType::HttpRequestHeaders)
    }

    fn response_headers(&self) -> Result<Headers, String> {
        if !self.responding {
            return Err("there is no response yet".to_string());
        }
        headers(MapType::HttpResponseHeaders)
    }

    fn set_request_header(&self, name: &str, value: &str) {
        let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, Some(value));
    }
}

/// Headers as text. As bytes first: a caller's header that is not UTF-8 must not end the filter.
fn headers(map: MapType) -> Result<Headers, String> {
    let pairs = hostcalls::get_map_bytes(map).map_err(|status| format!("headers: {status:?}"))?;
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect())
}

struct Filter {
    plan: Option<Rc<Plan>>,
    metrics: Option<Rc<Metrics>>,
    envoy: Envoy,
    flow: Option<Box<Flow>>,
    /// The call that the request waits for.
    waiting: Option<u32>,
    /// Services of the reports that the response waits for, by call.
    reports: HashMap<u32, usize>,
}

impl Filter {
    fn count(&self, metric: impl Fn(&Metrics) -> u32) {
        if let Some(metrics) = &self.metrics {
            count(metric(metrics));
        }
    }

    /// Carries out a step; true once the request need not wait any longer.
    fn take(&mut self, mut step: Step) -> bool {
        loop {
            match step {
                Step::Proceed => return true,
                Step::Refuse(refusal) => {
                    self.refuse(&refusal);
                    return false;
                }
                Step::Call(call) => {
                    let Some(flow) = &mut self.flow else {
                        return false;
                    };
                    match dispatch(flow, &self.envoy, &call) {
                        Ok(token) => {
                            self.waiting = Some(token);
                            return false;
                        }
                        Err(reason) => {
                            log::warn!("{reason}");
                            step = flow.answer(&self.envoy, GRPC_UNAVAILABLE, None);
                        }
                    }
                }
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        if refusal.status == 500 {
            log::error!("request refused: {}", refusal.reason);
            self.count(|metrics| metrics.errors);
        }
        self.count(|metrics| metrics.denied);
        self.flow = None;
        let id = self.identification();
        let headers: Vec<(&str, &str)> = refusal
            .headers
            .iter()
            .chain(&id)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if let Err(status) =
            hostcalls::send_http_response(refusal.status, headers, Some(refusal.body.as_bytes()))
        {
            log::error!("cannot refuse the request: {status:?}");
        }
    }

    /// The configured header that identifies the request, if there is one.
    fn identification(&self) -> Option<(String, String)> {
        let name = self.plan.as_ref()?.id_header.clone()?;
        let headers = self.envoy.request_headers().ok()?;
        Some((name, header(&headers, REQUEST_ID)?.to_string()))
    }

    /// Sends the reports; true if the response's end must wait for them.
    fn report(&mut self) -> bool {
        let Some(flow) = &mut self.flow else {
            return false;
        };
        for call in flow.finish(&self.envoy) {
            let refusal = match call {
                Ok(call) => match dispatch(flow, &self.envoy, &call) {
                    Ok(token) => {
                        self.reports.insert(token, call.service);
                        None
                    }
                    Err(reason) => {
                        log::warn!("{reason}");
                        flow.report_answer(call.service, GRPC_UNAVAILABLE)
                    }
                },
                Err(refusal) => Some(refusal),
            };
            if let Some(refusal) = refusal {
                self.reports.clear();
                self.refuse(&refusal);
                return true;
            }
        }
        !self.reports.is_empty()
    }

    fn answer_report(&mut self, token: u32, status: u32) {
        let Some(service) = self.reports.remove(&token) else {
            return;
        };
        let refusal = self
            .flow
            .as_ref()
            .and_then(|flow| flow.report_answer(service, status));
        if let Some(refusal) = refusal {
            self.reports.clear();
            self.refuse(&refusal);
        } else if self.reports.is_empty() {
            self.flow = None;
            self.resume_http_response();
        }
    }
}

fn dispatch(flow: &Flow, envoy: &Envoy, call: &Call) -> Result<u32, String> {
    let service = flow.service(call.service);
    let headers = envoy.request_headers().unwrap_or_default();
    let metadata: Vec<(&str, &[u8])> = std::iter::once(REQUEST_ID)
        .chain(TRACE_HEADERS)
        .filter_map(|name| Some((name, header(&headers, name)?.as_bytes())))
        .collect();
    log::debug!("{}: calling {}", flow.name(), service.method);
    hostcalls::dispatch_grpc_call(
        &service.endpoint,
        service.service,
        service.method,
        metadata,
        Some(&call.message),
        service.timeout,
    )
    .map_err(|status| format!("cannot call {}: {status:?}", service.endpoint))
}

impl Context for Filter {
    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        if self.waiting != Some(token) {
            self.answer_report(token, status);
            return;
        }
        self.waiting = None;
        let message = match (status, size) {
            (0, 1..) => self.get_grpc_call_response_body(0, size),
            _ => None,
        };
        let Some(flow) = &mut self.flow else {
            return;
        };
        let step = flow.answer(&self.envoy, status, message.as_deref());
        if self.take(step) {
            self.resume_http_request();
        }
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let Some(plan) = self.plan.clone() else {
            self.refuse(&Refusal::internal("there is no valid configuration"));
            return Action::Pause;
        };
        match Flow::start(&plan, &self.envoy) {
            Start::Unmatched => {
                self.count(|metrics| metrics.misses);
                Action::Continue
            }
            Start::Refused(refusal) => {
                self.refuse(&refusal);
                Action::Pause
            }
            Start::Matched(mut flow) => {
                self.count(|metrics| metrics.hits);
                let step = flow.advance(&self.envoy);
                self.flow = Some(flow);
                if self.take(step) {
                    Action::Continue
                } else {
                    Action::Pause
                }
            }
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        self.envoy.responding = true;
        let Some(flow) = &mut self.flow else {
            return Action::Continue;
        };
        let added = flow.begin_response(&self.envoy);
        self.count(|metrics| metrics.allowed);
        for (name, value) in added.iter().chain(&self.identification()) {
            self.set_http_response_header(name, Some(value));
        }
        if end && self.report() {
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let Some(flow) = &mut self.flow else {
            return Action::Continue;
        };
        if flow.reads_body() && size > 0 {
            if let Ok(Some(chunk)) = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, size) {
                flow.read_body(&chunk);
            }
        }
        if end && self.report() {
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        if self.report() {
            return Action::Pause;
        }
        Action::Continue
    }
}
