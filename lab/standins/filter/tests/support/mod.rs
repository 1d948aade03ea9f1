#![allow(
    dead_code,
    missing_docs,
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used
)]
//! A request without Envoy, and services without a network.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::{Value as Json, json};
use standins_filter::auth_api::{
    Answer, CheckRequest, CheckResponse, DeniedResponse, HeaderOption, HttpStatus, OkResponse,
};
use standins_filter::flow::{Call, Flow, GRPC_OK, Refusal, Start, Step};
use standins_filter::host::{Headers, Host};
use standins_filter::plan::Plan;
use standins_wire::{Code, HeaderValue, RateLimitRequest, RateLimitResponse};

pub const SCOPE: &str = "1c2f0a";
pub const ROUTE: &str = "maas-gateway/maas-inference";

/// A request for a model.
pub struct FakeHost {
    pub properties: HashMap<String, Vec<u8>>,
    pub request_headers: RefCell<Headers>,
    pub response_headers: Option<Headers>,
    pub broken: bool,
}

impl Default for FakeHost {
    fn default() -> Self {
        let mut host = Self {
            properties: HashMap::new(),
            request_headers: RefCell::new(vec![
                (":method".into(), "POST".into()),
                ("authorization".into(), "Bearer secret".into()),
                ("accept".into(), "a".into()),
                ("accept".into(), "b".into()),
            ]),
            response_headers: None,
            broken: false,
        };
        for (name, value) in [
            ("request.host", "maas.lab.test:8443"),
            ("request.method", "POST"),
            ("request.path", "/llm/gemma/v1/chat/completions?a=1"),
            ("request.url_path", "/llm/gemma/v1/chat/completions"),
            ("request.query", "a=1"),
            ("request.scheme", "https"),
            ("request.protocol", "HTTP/1.1"),
            ("source.address", "10.0.0.7:41000"),
            ("destination.address", "10.0.0.1:8443"),
        ] {
            host.set(name, value);
        }
        for (name, value) in [
            ("request.time", 1_730_987_538_880_438_000_i64),
            ("source.port", 41000),
            ("destination.port", 8443),
        ] {
            host.properties
                .insert(name.into(), value.to_le_bytes().into());
        }
        host
    }
}

impl FakeHost {
    pub fn set(&mut self, name: &str, value: &str) {
        self.properties.insert(name.into(), value.into());
    }

    pub fn with(name: &str, value: &str) -> Self {
        let mut host = Self::default();
        host.set(name, value);
        host
    }

    pub fn respond(&mut self, content_type: &str) {
        self.response_headers = Some(vec![("content-type".into(), content_type.into())]);
    }

    pub fn set_header(&self, name: &str, value: &str) {
        self.set_request_header(name, value);
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let headers = self.request_headers.borrow();
        let found = headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    }
}

impl Host for FakeHost {
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, String> {
        match self.broken {
            true => Err("broken".to_string()),
            false => Ok(self.properties.get(&path.join(".")).cloned()),
        }
    }

    fn request_headers(&self) -> Result<Headers, String> {
        match self.broken {
            true => Err("broken".to_string()),
            false => Ok(self.request_headers.borrow().clone()),
        }
    }

    fn response_headers(&self) -> Result<Headers, String> {
        self.response_headers
            .clone()
            .ok_or_else(|| "no response yet".to_string())
    }

    fn set_request_header(&self, name: &str, value: &str) {
        let mut headers = self.request_headers.borrow_mut();
        headers.retain(|(key, _)| key != name);
        headers.push((name.to_string(), value.to_string()));
    }
}

/// A configuration as the operator writes it, with these actions for one route.
pub fn config(predicates: &[&str], actions: Json) -> Json {
    let service = |kind: &str, mode: &str| json!({"type": kind, "endpoint": format!("kuadrant-{kind}"), "failureMode": mode, "timeout": "200ms"});
    json!({
        "services": {
            "auth-service": service("auth", "deny"),
            "ratelimit-service": service("ratelimit", "deny"),
            "ratelimit-allow-service": service("ratelimit", "allow"),
            "ratelimit-check-service": service("ratelimit-check", "deny"),
            "ratelimit-report-service": service("ratelimit-report", "allow"),
            "ratelimit-report-deny-service": service("ratelimit-report", "deny"),
        },
        "actionSets": [{
            "name": "8a55ba7d",
            "routeRuleConditions": {"hostnames": ["maas.lab.test"], "predicates": predicates},
            "actions": actions,
        }],
    })
}

pub fn auth() -> Json {
    json!({"service": "auth-service", "scope": SCOPE, "sources": ["AuthPolicy:maas-gateway/gateway-auth-policy"]})
}

/// A request limit's action for a tier, as the operator writes it.
pub fn requests(tier: &str) -> Json {
    json!({
        "service": "ratelimit-service",
        "scope": ROUTE,
        "conditionalData": [{
            "predicates": [format!("auth.identity.tier == \"{tier}\"")],
            "data": [
                {"expression": {"key": format!("limit.{tier}"), "value": "1"}},
                {"expression": {"key": "auth.identity.userid", "value": "auth.identity.userid"}},
            ],
        }],
    })
}

/// A token limit's two actions for a tier, as the operator writes them.
pub fn tokens(tier: &str) -> [Json; 2] {
    let action = |service: &str, addend: &str| {
        json!({
            "service": service,
            "scope": ROUTE,
            "conditionalData": [{
                "predicates": [format!("auth.identity.tier == \"{tier}\"")],
                "data": [
                    {"expression": {"key": format!("tokenlimit.{tier}"), "value": "1"}},
                    {"expression": {"key": "auth.identity.userid", "value": "auth.identity.userid"}},
                    {"expression": {"key": "ratelimit.hits_addend", "value": addend}},
                ],
            }],
        })
    };
    [
        action("ratelimit-check-service", "0"),
        action(
            "ratelimit-report-service",
            "responseBodyJSON(\"/usage/total_tokens\")",
        ),
    ]
}

pub fn plan(config: &Json) -> Rc<Plan> {
    Rc::new(standins_filter::plan(config.to_string().as_bytes()).expect("a valid configuration"))
}

pub fn start(config: &Json, host: &FakeHost) -> Flow {
    match Flow::start(&plan(config), host) {
        Start::Matched(flow) => *flow,
        Start::Unmatched => panic!("unmatched"),
        Start::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

/// What becomes of a request before any call.
pub fn refused_at_once(config: &Json, host: &FakeHost) -> Option<Refusal> {
    match Flow::start(&plan(config), host) {
        Start::Refused(refusal) => Some(refusal),
        Start::Unmatched => None,
        Start::Matched(mut flow) => match flow.advance(host) {
            Step::Refuse(refusal) => Some(refusal),
            Step::Call(_) | Step::Proceed => None,
        },
    }
}

pub fn call(step: Step) -> Call {
    match step {
        Step::Call(call) => call,
        other => panic!("no call but {other:?}"),
    }
}

pub fn check_request(call: &Call) -> CheckRequest {
    CheckRequest::decode(call.message.as_slice()).expect("a CheckRequest")
}

pub fn limit_request(call: &Call) -> RateLimitRequest {
    RateLimitRequest::decode(call.message.as_slice()).expect("a RateLimitRequest")
}

/// The entries of a request's descriptors.
pub fn entries(request: &RateLimitRequest) -> Vec<BTreeMap<String, String>> {
    request
        .descriptors
        .iter()
        .map(|descriptor| {
            let entries = descriptor.entries.iter();
            entries
                .map(|entry| (entry.key.clone(), entry.value.clone()))
                .collect()
        })
        .collect()
}

pub fn text(value: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(value.to_string())),
    }
}

pub fn object(fields: &[(&str, Value)]) -> Struct {
    Struct {
        fields: fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
    }
}

/// Granted, for a user of this tier.
pub fn granted(tier: &str) -> CheckResponse {
    let identity = object(&[("userid", text("alice")), ("tier", text(tier))]);
    CheckResponse {
        answer: Some(Answer::Ok(OkResponse::default())),
        dynamic_metadata: Some(object(&[(
            "identity",
            Value {
                kind: Some(Kind::StructValue(identity)),
            },
        )])),
    }
}

pub fn denied(status: Option<i32>, headers: &[(&str, &str)], body: &str) -> CheckResponse {
    CheckResponse {
        answer: Some(Answer::Denied(DeniedResponse {
            status: status.map(|code| HttpStatus { code }),
            headers: options(headers),
            body: body.to_string(),
        })),
        dynamic_metadata: None,
    }
}

pub fn options(headers: &[(&str, &str)]) -> Vec<HeaderOption> {
    headers
        .iter()
        .map(|(key, value)| HeaderOption {
            header: Some(HeaderValue {
                key: key.to_string(),
                value: value.to_string(),
            }),
        })
        .collect()
}

pub fn limit(code: Code, headers: &[(&str, &str)]) -> RateLimitResponse {
    RateLimitResponse {
        overall_code: code.into(),
        response_headers_to_add: options(headers)
            .into_iter()
            .filter_map(|o| o.header)
            .collect(),
    }
}

pub fn answer(flow: &mut Flow, host: &FakeHost, message: &impl Message) -> Step {
    flow.answer(host, GRPC_OK, Some(&message.encode_to_vec()))
}

/// A flow whose authorization was granted, and its next step.
pub fn authorized(config: &Json, host: &FakeHost, tier: &str) -> (Flow, Step) {
    let mut flow = start(config, host);
    call(flow.advance(host));
    let step = answer(&mut flow, host, &granted(tier));
    (flow, step)
}

/// The reports of a response with this body.
pub fn reports(
    flow: &mut Flow,
    host: &mut FakeHost,
    content_type: &str,
    chunks: &[&[u8]],
) -> Vec<Result<Call, Refusal>> {
    host.respond(content_type);
    flow.begin_response(host);
    for chunk in chunks {
        flow.read_body(chunk);
    }
    flow.finish(host)
}
