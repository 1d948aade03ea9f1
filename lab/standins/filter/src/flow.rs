//! One request's way through its actions: which call is next, and what its answer means.
//!
//! Whatever cannot be evaluated, decoded or told refuses the request. A service's failure mode
//! decides one thing only: what becomes of the request when the call to that service fails.

use std::collections::HashMap;
use std::rc::Rc;

use cel::Value;
use prost::Message;
use prost_types::{Struct, Timestamp};
use standins_wire::{Code, Descriptor, Entry, RateLimitRequest, RateLimitResponse};

use crate::attributes::Cache;
use crate::auth_api::{
    Address, Answer, AttributeContext, CheckRequest, CheckResponse, DeniedResponse, HttpRequest,
    Metadata, OkResponse, Peer, Request, SocketAddress, expression_value, header_pairs,
    struct_value, text_value,
};
use crate::config::FailureMode;
use crate::expression::{Expression, Scope, all_hold};
use crate::host::{Headers, Host, header};
use crate::plan::{Action, ActionKind, ActionSet, Domain, EntryValue, Plan, RateLimit, Service};
use crate::usage::UsageReader;

/// gRPC's status for success.
pub const GRPC_OK: u32 = 0;
/// gRPC's status for a service that cannot be reached.
pub const GRPC_UNAVAILABLE: u32 = 14;

const FORBIDDEN: u32 = 403;
const TOO_MANY_REQUESTS: u32 = 429;

/// What to do next with the request.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Make this call and come back with its answer.
    Call(Call),
    /// Answer in the model's stead.
    Refuse(Refusal),
    /// Let the request go on.
    Proceed,
}

/// A call to make.
#[derive(Debug, PartialEq)]
pub struct Call {
    /// The service's number in the plan.
    pub service: usize,
    /// The encoded message.
    pub message: Vec<u8>,
}

/// An answer in the model's stead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u32,
    /// Headers.
    pub headers: Headers,
    /// The body.
    pub body: String,
    /// Why, for the log; never told to the caller.
    pub reason: String,
}

impl Refusal {
    /// The answer when the filter itself cannot go on.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self {
            status: 500,
            headers: Vec::new(),
            body: "Internal Server Error.\n".to_string(),
            reason: reason.into(),
        }
    }
}

/// How a request that has just come begins.
pub enum Start {
    /// No action set is for it.
    Unmatched,
    /// It must not go on.
    Refused(Refusal),
    /// These actions are for it.
    Matched(Box<Flow>),
}

/// One request's state.
pub struct Flow {
    plan: Rc<Plan>,
    set: usize,
    cache: Cache,
    auth: Value,
    next: usize,
    response_headers: Headers,
    reports: Vec<usize>,
    reader: Option<UsageReader>,
    body: Option<HashMap<String, Value>>,
}

/// Why an action's message cannot be sent.
enum Skip {
    /// Its predicates do not hold.
    NotNeeded,
    /// Something cannot be evaluated.
    Impossible(String),
}

impl From<String> for Skip {
    fn from(reason: String) -> Self {
        Self::Impossible(reason)
    }
}

impl Flow {
    /// Selects the actions for a request.
    pub fn start(plan: &Rc<Plan>, host: &dyn Host) -> Start {
        let cache = Cache::default();
        match plan.select(&cache, host) {
            Err(reason) => Start::Refused(Refusal::internal(reason)),
            Ok(None) => Start::Unmatched,
            Ok(Some(set)) => Start::Matched(Box::new(Self {
                plan: Rc::clone(plan),
                set,
                cache,
                auth: Value::Null,
                next: 0,
                response_headers: Vec::new(),
                reports: Vec::new(),
                reader: None,
                body: None,
            })),
        }
    }

    /// Goes on to the next call, or to the end of the guards.
    pub fn advance(&mut self, host: &dyn Host) -> Step {
        let plan = Rc::clone(&self.plan);
        let set = plan.set(self.set);
        while let Some(action) = set.guards.get(self.next) {
            match self.message(action, host) {
                Ok(message) => {
                    return Step::Call(Call {
                        service: action.service,
                        message,
                    });
                }
                Err(Skip::NotNeeded) => self.next += 1,
                Err(Skip::Impossible(reason)) => {
                    return Step::Refuse(Refusal::internal(reason));
                }
            }
        }
        self.choose_reports(set, host);
        Step::Proceed
    }

    /// Takes the answer to the call that [`Self::advance`] asked for.
    pub fn answer(&mut self, host: &dyn Host, status: u32, message: Option<&[u8]>) -> Step {
        let plan = Rc::clone(&self.plan);
        let Some(action) = plan.set(self.set).guards.get(self.next) else {
            return Step::Refuse(Refusal::internal("an answer to no call"));
        };
        let service = &plan.services[action.service];
        let outcome = match (status, message) {
            (GRPC_OK, message) => {
                let message = message.unwrap_or_default();
                match &action.kind {
                    ActionKind::Auth { .. } => self.authorize(host, message),
                    ActionKind::RateLimit(_) => self.limit(message),
                }
            }
            _ => Err(format!("gRPC status {status}")),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(refusal)) => return Step::Refuse(refusal),
            Err(reason) => {
                let reason = format!("{}: {reason}", service.method);
                match service.failure_mode {
                    FailureMode::Deny => return Step::Refuse(Refusal::internal(reason)),
                    FailureMode::Allow => log::warn!("{reason}; the request goes on"),
                }
            }
        }
        self.next += 1;
        self.advance(host)
    }

    /// Headers for the response, which has just begun; starts to look for usage in its body.
    pub fn begin_response(&mut self, host: &dyn Host) -> Headers {
        let plan = Rc::clone(&self.plan);
        let reports = &plan.set(self.set).reports;
        let mut pointers: Vec<String> = self
            .reports
            .iter()
            .flat_map(|number| expressions(&reports[*number]))
            .chain(plan.request_data.iter().map(|datum| &datum.text))
            .flat_map(|expression| expression.pointers().iter().cloned())
            .collect();
        pointers.sort();
        pointers.dedup();
        if !self.reports.is_empty() && !pointers.is_empty() {
            let headers = host.response_headers().unwrap_or_default();
            self.reader = Some(UsageReader::new(pointers, header(&headers, "content-type")));
        }
        std::mem::take(&mut self.response_headers)
    }

    /// Whether the response's body must be shown to [`Self::read_body`].
    pub fn reads_body(&self) -> bool {
        self.reader.is_some()
    }

    /// Takes the next piece of the response's body.
    pub fn read_body(&mut self, chunk: &[u8]) {
        if let Some(reader) = &mut self.reader {
            reader.feed(chunk);
        }
    }

    /// The reports to send, now that the response is over; empty on every further call.
    pub fn finish(&mut self, host: &dyn Host) -> Vec<Result<Call, Refusal>> {
        self.body = Some(
            self.reader
                .take()
                .map(UsageReader::finish)
                .unwrap_or_default(),
        );
        let plan = Rc::clone(&self.plan);
        let mut calls = Vec::new();
        for number in std::mem::take(&mut self.reports) {
            let action = &plan.set(self.set).reports[number];
            match self.message(action, host) {
                Ok(message) => calls.push(Ok(Call {
                    service: action.service,
                    message,
                })),
                Err(Skip::NotNeeded) => {}
                Err(Skip::Impossible(reason)) => {
                    let reason = format!("no usage reported: {reason}");
                    match plan.services[action.service].failure_mode {
                        FailureMode::Deny => calls.push(Err(Refusal::internal(reason))),
                        FailureMode::Allow => log::warn!("{reason}"),
                    }
                }
            }
        }
        calls
    }

    /// Takes the answer to a report; a refusal can only cut the response off.
    pub fn report_answer(&self, service: usize, status: u32) -> Option<Refusal> {
        if status == GRPC_OK {
            return None;
        }
        let service = &self.plan.services[service];
        let reason = format!("{}: gRPC status {status}, usage is lost", service.method);
        match service.failure_mode {
            FailureMode::Deny => Some(Refusal::internal(reason)),
            FailureMode::Allow => {
                log::warn!("{reason}");
                None
            }
        }
    }

    /// A service of the plan.
    pub fn service(&self, number: usize) -> &Service {
        &self.plan.services[number]
    }

    /// The action set's name.
    pub fn name(&self) -> &str {
        &self.plan.set(self.set).name
    }

    fn scope<'a>(&'a self, host: &'a dyn Host) -> Scope<'a> {
        Scope {
            functions: &self.plan.functions,
            attributes: &self.plan.attributes,
            cache: &self.cache,
            host,
            auth: &self.auth,
            body: self.body.as_ref(),
        }
    }

    /// Drops reports whose predicates already do not hold, and keeps what the others will read.
    fn choose_reports(&mut self, set: &ActionSet, host: &dyn Host) {
        let mut chosen = Vec::new();
        for (number, action) in set.reports.iter().enumerate() {
            let scope = self.scope(host);
            for expression in expressions(action) {
                expression.remember_attributes(&scope);
            }
            let needed = match &action.kind {
                ActionKind::RateLimit(call) => needed(action, call, &scope),
                ActionKind::Auth { .. } => Ok(true),
            };
            // What cannot be told before the response is told after it.
            if needed.unwrap_or(true) {
                chosen.push(number);
            }
        }
        if !chosen.is_empty() {
            let scope = self.scope(host);
            for datum in &self.plan.request_data {
                datum.text.remember_attributes(&scope);
            }
        }
        self.reports = chosen;
    }

    fn message(&self, action: &Action, host: &dyn Host) -> Result<Vec<u8>, Skip> {
        let scope = self.scope(host);
        match &action.kind {
            ActionKind::Auth { scope: name } => {
                if !all_hold(&action.predicates, &scope)? {
                    return Err(Skip::NotNeeded);
                }
                Ok(self.check_request(name, &scope)?.encode_to_vec())
            }
            ActionKind::RateLimit(call) => {
                if !needed(action, call, &scope)? {
                    return Err(Skip::NotNeeded);
                }
                Ok(self.limit_request(call, &scope)?.encode_to_vec())
            }
        }
    }

    fn limit_request(
        &self,
        call: &RateLimit,
        scope: &Scope<'_>,
    ) -> Result<RateLimitRequest, String> {
        let domain = match &call.domain {
            Domain::Fixed(domain) => domain.clone(),
            Domain::Expression(expression) => text(expression, scope)?,
        };
        let hits_addend = match &call.addend {
            None => 1,
            Some(expression) => match expression.evaluate(scope)? {
                Value::UInt(addend) => u32::try_from(addend)
                    .map_err(|_| format!("{addend} is too much to count at once"))?,
                other => return Err(format!("cannot count {}", other.type_of())),
            },
        };
        let mut descriptors = Vec::new();
        // Limits address descriptors by position: the first is there whenever entries are
        // configured, even if none of them applies.
        if call.blocks.iter().any(|block| !block.entries.is_empty()) {
            let mut entries = Vec::new();
            for block in &call.blocks {
                if !all_hold(&block.predicates, scope)? {
                    continue;
                }
                for (key, value) in &block.entries {
                    entries.push(Entry {
                        key: key.clone(),
                        value: match value {
                            EntryValue::Fixed(value) => value.clone(),
                            EntryValue::Expression(expression) => text(expression, scope)?,
                        },
                    });
                }
            }
            descriptors.push(Descriptor { entries });
        }
        let mut entries = Vec::new();
        for datum in &self.plan.request_data {
            // Before the response its part of the request data is left out.
            if scope.body.is_none() && !datum.text.pointers().is_empty() {
                continue;
            }
            entries.push(Entry {
                key: match datum.domain.as_str() {
                    "" | "metrics.labels" => datum.field.clone(),
                    domain => format!("{domain}.{}", datum.field),
                },
                value: text(&datum.text, scope)?,
            });
        }
        if !entries.is_empty() {
            descriptors.push(Descriptor { entries });
        }
        Ok(RateLimitRequest {
            domain,
            descriptors,
            hits_addend,
        })
    }

    fn limit(&mut self, message: &[u8]) -> Result<Option<Refusal>, String> {
        let response = RateLimitResponse::decode(message).map_err(|error| error.to_string())?;
        let headers = response
            .response_headers_to_add
            .into_iter()
            .map(|header| (header.key, header.value));
        match Code::try_from(response.overall_code) {
            Ok(Code::Ok) => {
                self.response_headers.extend(headers);
                Ok(None)
            }
            Ok(Code::OverLimit) => Ok(Some(Refusal {
                status: TOO_MANY_REQUESTS,
                headers: headers.collect(),
                body: "Too Many Requests\n".to_string(),
                reason: "over a limit".to_string(),
            })),
            _ => Err(format!("unknown answer {}", response.overall_code)),
        }
    }

    fn check_request(&self, name: &str, scope: &Scope<'_>) -> Result<CheckRequest, String> {
        let host = scope.host;
        let mut headers = std::collections::BTreeMap::new();
        for (name, value) in host.request_headers()? {
            headers
                .entry(name)
                .and_modify(|joined: &mut String| {
                    joined.push(',');
                    joined.push_str(&value);
                })
                .or_insert(value);
        }
        let time = number(host, "request", "time")?.map(|nanoseconds| Timestamp {
            seconds: nanoseconds.div_euclid(1_000_000_000),
            nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
        });
        let http = HttpRequest {
            method: required(host, "method")?,
            headers,
            path: required(host, "path")?,
            host: required(host, "host")?,
            scheme: attribute(host, "request", "scheme")?.unwrap_or_default(),
            protocol: attribute(host, "request", "protocol")?.unwrap_or_default(),
        };
        Ok(CheckRequest {
            attributes: Some(AttributeContext {
                source: Some(peer(host, "source")?),
                destination: Some(peer(host, "destination")?),
                request: Some(Request {
                    time,
                    http: Some(http),
                }),
                context_extensions: [("host".to_string(), name.to_string())].into(),
                metadata_context: Some(self.metadata(scope)?),
            }),
        })
    }

    /// Request data for the authorization service, which evaluates what only it can know.
    fn metadata(&self, scope: &Scope<'_>) -> Result<Metadata, String> {
        let mut metadata = Metadata::default();
        for datum in &self.plan.request_data {
            if !datum.text.pointers().is_empty() {
                continue;
            }
            let namespace = match datum.domain.as_str() {
                "" => "io.kuadrant".to_string(),
                domain => format!("io.kuadrant.{domain}"),
            };
            let value = match datum.source.contains("auth.") {
                true => expression_value(&datum.source),
                false => text_value(text(&datum.text, scope)?),
            };
            metadata
                .filter_metadata
                .entry(namespace)
                .or_insert_with(Struct::default)
                .fields
                .insert(datum.field.clone(), value);
        }
        Ok(metadata)
    }

    fn authorize(&mut self, host: &dyn Host, message: &[u8]) -> Result<Option<Refusal>, String> {
        let response = CheckResponse::decode(message).map_err(|error| error.to_string())?;
        match response.answer {
            Some(Answer::Denied(denied)) => Ok(Some(refusal(denied))),
            Some(Answer::Ok(granted)) => {
                self.grant(host, granted, response.dynamic_metadata)?;
                Ok(None)
            }
            None => Err("neither granted nor denied".to_string()),
        }
    }

    fn grant(
        &mut self,
        host: &dyn Host,
        granted: OkResponse,
        metadata: Option<Struct>,
    ) -> Result<(), String> {
        if granted.is_unsupported() {
            return Err("granted under conditions that are not supported".to_string());
        }
        if let Some(metadata) = metadata {
            self.auth = struct_value(metadata);
        }
        let headers = header_pairs(granted.headers);
        for (name, value) in &headers {
            host.set_request_header(name, value);
        }
        if !headers.is_empty() {
            self.cache.forget_request_headers(&self.plan.attributes);
        }
        Ok(())
    }
}

/// Whether a rate limit call is to be made: the action's predicates hold, and there is data to
/// send or none is conditional.
fn needed(action: &Action, call: &RateLimit, scope: &Scope<'_>) -> Result<bool, String> {
    if !all_hold(&action.predicates, scope)? {
        return Ok(false);
    }
    if call.blocks.iter().any(|block| block.predicates.is_empty()) || call.blocks.is_empty() {
        return Ok(true);
    }
    let mut any = false;
    for block in &call.blocks {
        any |= all_hold(&block.predicates, scope)?;
    }
    Ok(any)
}

/// Every expression of an action.
fn expressions(action: &Action) -> Vec<&Expression> {
    let mut all: Vec<&Expression> = action.predicates.iter().collect();
    if let ActionKind::RateLimit(call) = &action.kind {
        if let Domain::Expression(expression) = &call.domain {
            all.push(expression);
        }
        all.extend(&call.addend);
        for block in &call.blocks {
            all.extend(&block.predicates);
            all.extend(block.entries.iter().filter_map(|(_, value)| match value {
                EntryValue::Expression(expression) => Some(expression),
                EntryValue::Fixed(_) => None,
            }));
        }
    }
    all
}

fn text(expression: &Expression, scope: &Scope<'_>) -> Result<String, String> {
    match expression.evaluate(scope)? {
        Value::String(text) => Ok(text.to_string()),
        other => Err(format!(
            "{:?} is {} instead of a string",
            expression.source(),
            other.type_of()
        )),
    }
}

fn refusal(denied: DeniedResponse) -> Refusal {
    let status = denied.status.map_or(0, |status| status.code);
    Refusal {
        status: u32::try_from(status)
            .ok()
            .filter(|status| *status != 0)
            .unwrap_or(FORBIDDEN),
        headers: header_pairs(denied.headers),
        body: denied.body,
        reason: "denied".to_string(),
    }
}

fn required(host: &dyn Host, name: &str) -> Result<String, String> {
    attribute(host, "request", name)?.ok_or_else(|| format!("the request has no {name}"))
}

fn attribute(host: &dyn Host, root: &str, name: &str) -> Result<Option<String>, String> {
    let bytes = host.property(&[root, name])?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn number(host: &dyn Host, root: &str, name: &str) -> Result<Option<i64>, String> {
    match host.property(&[root, name])? {
        None => Ok(None),
        Some(bytes) => <[u8; 8]>::try_from(bytes)
            .map(|bytes| Some(i64::from_le_bytes(bytes)))
            .map_err(|_| format!("attribute {root}.{name} has an unexpected size")),
    }
}

fn peer(host: &dyn Host, root: &str) -> Result<Peer, String> {
    let port = number(host, root, "port")?.unwrap_or_default();
    Ok(Peer {
        address: Some(Address {
            socket_address: Some(SocketAddress {
                address: attribute(host, root, "address")?.unwrap_or_default(),
                port_value: u32::try_from(port).unwrap_or_default(),
            }),
        }),
    })
}
