//! The configuration, checked and compiled; a plan is either whole or not made at all.

use std::collections::HashMap;
use std::time::Duration;

use cel::Context;

use crate::attributes::{Attribute, Cache};
use crate::config::{self, Config, Datum, FailureMode, ServiceKind};
use crate::expression::{Compiler, Expression, Scope, all_hold};
use crate::functions;
use crate::host::Host;
use crate::hosts::Hosts;

/// Everything the filter needs for a request.
pub struct Plan {
    /// The functions of expressions.
    pub functions: Context<'static>,
    /// What expressions read.
    pub attributes: Vec<Attribute>,
    /// The services that actions call.
    pub services: Vec<Service>,
    /// Request data, in the order of their names.
    pub request_data: Vec<RequestDatum>,
    /// A response header that carries the request's id.
    pub id_header: Option<String>,
    sets: Vec<ActionSet>,
    hosts: Hosts<usize>,
}

/// A service and how to call it.
#[derive(Debug)]
pub struct Service {
    /// Envoy's cluster.
    pub endpoint: String,
    /// gRPC service.
    pub service: &'static str,
    /// gRPC method.
    pub method: &'static str,
    /// How long a call may take.
    pub timeout: Duration,
    /// What a failed call means for the request.
    pub failure_mode: FailureMode,
}

/// Request data: an expression whose value goes along with calls.
#[derive(Debug)]
pub struct RequestDatum {
    /// The name's part before the last dot, such as `metrics.labels`.
    pub domain: String,
    /// The name's last part.
    pub field: String,
    /// The expression as it was written.
    pub source: String,
    /// Its value as text.
    pub text: Expression,
}

/// Actions for some requests.
#[derive(Debug)]
pub struct ActionSet {
    /// A hash, for logs.
    pub name: String,
    predicates: Vec<Expression>,
    /// Calls to make before the request goes on, in order.
    pub guards: Vec<Action>,
    /// Calls to make when the response is over.
    pub reports: Vec<Action>,
}

/// One call.
#[derive(Debug)]
pub struct Action {
    /// The service's number.
    pub service: usize,
    /// All must hold, or the action is skipped.
    pub predicates: Vec<Expression>,
    /// What kind of call.
    pub kind: ActionKind,
}

/// The kinds of calls.
#[derive(Debug)]
pub enum ActionKind {
    /// External authorization against this AuthConfig.
    Auth {
        /// The AuthConfig's host.
        scope: String,
    },
    /// Any of the rate limit calls.
    RateLimit(Box<RateLimit>),
}

/// What a rate limit call carries.
#[derive(Debug)]
pub struct RateLimit {
    /// The limits' namespace.
    pub domain: Domain,
    /// How much to count; 1 if absent.
    pub addend: Option<Expression>,
    /// Entries of the first descriptor.
    pub blocks: Vec<Block>,
}

/// The namespace of limits.
#[derive(Debug)]
pub enum Domain {
    /// As configured.
    Fixed(String),
    /// As evaluated.
    Expression(Expression),
}

/// Entries and when to send them.
#[derive(Debug)]
pub struct Block {
    /// All must hold.
    pub predicates: Vec<Expression>,
    /// Keys and values.
    pub entries: Vec<(String, EntryValue)>,
}

/// An entry's value.
#[derive(Debug)]
pub enum EntryValue {
    /// As configured.
    Fixed(String),
    /// As evaluated, as text.
    Expression(Expression),
}

impl Plan {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// When any part of it cannot be understood: a rule left out would let requests pass.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut compiler = Compiler::default();
        let mut services = Vec::new();
        let mut numbers = HashMap::new();
        for (name, service) in &config.services {
            if let Some(service) = callable(service) {
                numbers.insert(name.as_str(), (services.len(), config.services[name].kind));
                services.push(service);
            }
        }
        let mut request_data = Vec::new();
        for (name, source) in &config.request_data {
            let (domain, field) = split_name(name);
            request_data.push(RequestDatum {
                domain: domain.to_string(),
                field: field.to_string(),
                source: source.clone(),
                text: compile(&mut compiler, &format!("string({source})"), source)
                    .map_err(|error| format!("request data {name}: {error}"))?,
            });
        }
        request_data.sort_by(|a, b| (&a.domain, &a.field).cmp(&(&b.domain, &b.field)));

        let mut sets = Vec::new();
        let mut hosts = Hosts::new();
        for set in config.action_sets {
            for hostname in &set.route_rule_conditions.hostnames {
                hosts.insert(hostname, sets.len());
            }
            let name = set.name.clone();
            sets.push(
                action_set(&mut compiler, set, &numbers)
                    .map_err(|error| format!("action set {name}: {error}"))?,
            );
        }
        Ok(Self {
            functions: functions::context(),
            attributes: compiler.into_attributes(),
            services,
            request_data,
            id_header: config.observability.http_header_identifier,
            sets,
            hosts,
        })
    }

    /// The action set with this number.
    pub fn set(&self, number: usize) -> &ActionSet {
        &self.sets[number]
    }

    /// The first action set for a request, if there is one.
    ///
    /// # Errors
    /// When that cannot be told; the request must then be refused.
    pub fn select(&self, cache: &Cache, host: &dyn Host) -> Result<Option<usize>, String> {
        let name = host
            .property(&["request", "host"])?
            .ok_or("the request names no host")?;
        let scope = Scope {
            functions: &self.functions,
            attributes: &self.attributes,
            cache,
            host,
            auth: &cel::Value::Null,
            body: None,
        };
        for number in self.hosts.select(&String::from_utf8_lossy(&name)) {
            if all_hold(&self.sets[*number].predicates, &scope)? {
                return Ok(Some(*number));
            }
        }
        Ok(None)
    }
}

fn callable(service: &config::Service) -> Option<Service> {
    let (name, method) = match service.kind {
        ServiceKind::Auth => ("envoy.service.auth.v3.Authorization", "Check"),
        ServiceKind::RateLimit => (standins_wire::ENVOY_SERVICE, "ShouldRateLimit"),
        ServiceKind::RateLimitCheck => (standins_wire::KUADRANT_SERVICE, "CheckRateLimit"),
        ServiceKind::RateLimitReport => (standins_wire::KUADRANT_SERVICE, "Report"),
        ServiceKind::Tracing | ServiceKind::Dynamic => return None,
    };
    Some(Service {
        endpoint: service.endpoint.clone(),
        service: name,
        method,
        timeout: service.timeout,
        failure_mode: service.failure_mode,
    })
}

fn action_set(
    compiler: &mut Compiler,
    set: config::ActionSet,
    services: &HashMap<&str, (usize, ServiceKind)>,
) -> Result<ActionSet, String> {
    let mut compiled = ActionSet {
        name: set.name,
        predicates: compile_all(compiler, &set.route_rule_conditions.predicates)?,
        guards: Vec::new(),
        reports: Vec::new(),
    };
    for action in set.actions {
        if let Some(kind) = &action.extension {
            return Err(format!(
                "{kind} actions of operator extensions are not supported"
            ));
        }
        let (service, kind) = *services
            .get(action.service.as_str())
            .ok_or_else(|| format!("no service {:?} that actions can call", action.service))?;
        let list = match kind {
            ServiceKind::RateLimitReport => &mut compiled.reports,
            _ => &mut compiled.guards,
        };
        list.push(Action {
            service,
            predicates: compile_all(compiler, &action.predicates)?,
            kind: match kind {
                ServiceKind::Auth => ActionKind::Auth {
                    scope: action.scope,
                },
                _ => ActionKind::RateLimit(Box::new(rate_limit(
                    compiler,
                    action.scope,
                    action.conditional_data,
                )?)),
            },
        });
    }
    Ok(compiled)
}

fn rate_limit(
    compiler: &mut Compiler,
    scope: String,
    data: Vec<config::ConditionalData>,
) -> Result<RateLimit, String> {
    let mut domain = None;
    let mut addend = None;
    let mut blocks = Vec::new();
    for block in data {
        let mut entries = Vec::new();
        for datum in block.data {
            match (datum_key(&datum), datum) {
                // Two keys are the call's own fields; the first of each counts, whatever the
                // predicates around it say.
                ("ratelimit.domain", datum) => {
                    if domain.is_none() {
                        domain = Some(match datum {
                            Datum::Static(pair) => Domain::Fixed(pair.value),
                            Datum::Expression(pair) => {
                                Domain::Expression(compiler.compile(&pair.value)?)
                            }
                        });
                    }
                }
                ("ratelimit.hits_addend", Datum::Static(pair) | Datum::Expression(pair)) => {
                    if addend.is_none() {
                        let source = format!("uint({})", pair.value);
                        addend = Some(compile(compiler, &source, &pair.value)?);
                    }
                }
                (_, Datum::Static(pair)) => {
                    entries.push((pair.key, EntryValue::Fixed(pair.value)));
                }
                (_, Datum::Expression(pair)) => {
                    let source = format!("string({})", pair.value);
                    let text = compile(compiler, &source, &pair.value)?;
                    entries.push((pair.key, EntryValue::Expression(text)));
                }
            }
        }
        blocks.push(Block {
            predicates: compile_all(compiler, &block.predicates)?,
            entries,
        });
    }
    Ok(RateLimit {
        domain: domain.unwrap_or(Domain::Fixed(scope)),
        addend,
        blocks,
    })
}

fn datum_key(datum: &Datum) -> &'static str {
    let (Datum::Static(pair) | Datum::Expression(pair)) = datum;
    match pair.key.as_str() {
        "ratelimit.domain" => "ratelimit.domain",
        "ratelimit.hits_addend" => "ratelimit.hits_addend",
        _ => "",
    }
}

fn compile_all(compiler: &mut Compiler, sources: &[String]) -> Result<Vec<Expression>, String> {
    sources
        .iter()
        .map(|source| compiler.compile(source))
        .collect()
}

/// Compiles a source that wraps another, which must stand on its own: `1) + f(2` must not.
fn compile(compiler: &mut Compiler, wrapped: &str, source: &str) -> Result<Expression, String> {
    Compiler::default().compile(source)?;
    compiler.compile(wrapped)
}

/// Cuts `metrics.labels.user` into `metrics.labels` and `user`.
fn split_name(name: &str) -> (&str, &str) {
    let last_letter = name
        .char_indices()
        .rfind(|(_, c)| c.is_alphabetic())
        .map_or(0, |(at, _)| at);
    match name[..last_letter].rfind('.') {
        Some(at) if at > 0 => (&name[..at], &name[at + 1..]),
        _ => ("", name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_before_the_last_part() {
        for (name, expected) in [
            ("metrics.labels.user", ("metrics.labels", "user")),
            ("user", ("", "user")),
            ("a.b", ("a", "b")),
            (".b", ("", ".b")),
            ("a.", ("", "a.")),
        ] {
            assert_eq!(split_name(name), expected, "{name}");
        }
    }
}
