//! Envoy's attributes as CEL values: their types, and a cache for one request.

use std::cell::RefCell;
use std::collections::HashMap;

use cel::Value;
use cel::objects::Map;
use chrono::DateTime;
use serde_json::Value as Json;

use crate::host::{Headers, Host};

/// Variables whose fields come from Envoy.
pub const ROOTS: [&str; 8] = [
    "request",
    "response",
    "source",
    "destination",
    "connection",
    "ratelimit",
    "filter_state",
    "metadata",
];

/// An attribute and how its bytes read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    path: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Uint,
    Bool,
    Bytes,
    Time,
    RequestHeaders,
    ResponseHeaders,
    RemoteAddress,
    /// Not a published attribute: JSON where it parses, text otherwise.
    Json,
}

impl Attribute {
    /// The attribute at this path.
    pub fn new(path: Vec<String>) -> Self {
        let kind = kind(&path.join("."));
        Self { path, kind }
    }

    /// The path's names.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    fn read(&self, host: &dyn Host) -> Result<Value, String> {
        match self.kind {
            Kind::RequestHeaders => return host.request_headers().map(headers_value),
            Kind::ResponseHeaders => return host.response_headers().map(headers_value),
            Kind::RemoteAddress => return remote_address(host),
            _ => {}
        }
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match host.property(&path)? {
            None => Ok(Value::Null),
            Some(bytes) => self
                .decode(bytes)
                .ok_or_else(|| format!("attribute {} has an unexpected size", path.join("."))),
        }
    }

    fn decode(&self, bytes: Vec<u8>) -> Option<Value> {
        let number = || <[u8; 8]>::try_from(bytes.as_slice()).ok();
        Some(match self.kind {
            Kind::Int => Value::Int(i64::from_le_bytes(number()?)),
            Kind::Uint => Value::UInt(u64::from_le_bytes(number()?)),
            Kind::Time => {
                let nanoseconds = i64::from_le_bytes(number()?);
                Value::Timestamp(DateTime::from_timestamp_nanos(nanoseconds).fixed_offset())
            }
            Kind::Bool => Value::Bool(*bytes.first().filter(|_| bytes.len() == 1)? != 0),
            Kind::Bytes => Value::Bytes(bytes.into()),
            Kind::Json => match serde_json::from_slice::<Json>(&bytes) {
                Ok(json) => json_value(&json),
                Err(_) => text(&bytes),
            },
            _ => text(&bytes),
        })
    }
}

fn kind(path: &str) -> Kind {
    match path {
        "request.headers" => Kind::RequestHeaders,
        "response.headers" => Kind::ResponseHeaders,
        "source.remote_address" => Kind::RemoteAddress,
        "request.time" => Kind::Time,
        "request.raw_body" => Kind::Bytes,
        "connection.mtls" => Kind::Bool,
        "connection.id" => Kind::Uint,
        "request.size"
        | "source.port"
        | "destination.port"
        | "ratelimit.hits_addend"
        | "response.code"
        | "response.flags"
        | "response.size"
        | "response.total_size"
        | "request.total_size" => Kind::Int,
        "request.id"
        | "request.protocol"
        | "request.scheme"
        | "request.host"
        | "request.method"
        | "request.path"
        | "request.url_path"
        | "request.query"
        | "request.referer"
        | "request.useragent"
        | "request.body"
        | "source.address"
        | "source.service"
        | "source.principal"
        | "source.certificate"
        | "destination.address"
        | "destination.service"
        | "destination.principal"
        | "destination.certificate"
        | "connection.requested_server_name"
        | "connection.tls_version"
        | "connection.subject_local_certificate"
        | "connection.subject_peer_certificate"
        | "connection.dns_san_local_certificate"
        | "connection.dns_san_peer_certificate"
        | "connection.uri_san_local_certificate"
        | "connection.uri_san_peer_certificate"
        | "connection.sha256_peer_certificate_digest"
        | "ratelimit.domain" => Kind::Text,
        _ => Kind::Json,
    }
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Headers as a map; several of one name are joined by commas.
fn headers_value(headers: Headers) -> Value {
    let mut map: HashMap<String, String> = HashMap::with_capacity(headers.len());
    for (name, value) in headers {
        map.entry(name)
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    Value::Map(Map::from(map))
}

/// The client's address without its port.
fn remote_address(host: &dyn Host) -> Result<Value, String> {
    Ok(match host.property(&["source", "address"])? {
        None => Value::Null,
        Some(bytes) => {
            let address = String::from_utf8_lossy(&bytes);
            let bare = address.rsplit_once(':').map_or(&*address, |(bare, _)| bare);
            bare.trim_matches(['[', ']']).into()
        }
    })
}

/// JSON as CEL sees it.
pub fn json_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(value) => value.as_str().into(),
        Json::Number(number) => number
            .as_u64()
            .map(Value::UInt)
            .or_else(|| number.as_i64().map(Value::Int))
            .unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN))),
        Json::Array(items) => Value::List(items.iter().map(json_value).collect::<Vec<_>>().into()),
        Json::Object(fields) => {
            let map: HashMap<String, Value> = fields
                .iter()
                .map(|(name, value)| (name.clone(), json_value(value)))
                .collect();
            Value::Map(Map::from(map))
        }
    }
}

/// The attributes of one request, each read once and kept as it was then: a route may rewrite the
/// path before the response comes.
#[derive(Debug, Default)]
pub struct Cache {
    values: RefCell<HashMap<usize, Value>>,
}

impl Cache {
    /// The value of the attribute with this number.
    ///
    /// # Errors
    /// When Envoy cannot tell.
    pub fn get(
        &self,
        number: usize,
        attribute: &Attribute,
        host: &dyn Host,
    ) -> Result<Value, String> {
        if let Some(value) = self.values.borrow().get(&number) {
            return Ok(value.clone());
        }
        let value = attribute.read(host)?;
        // What a response lacks now it may have later.
        if attribute.path[0] != "response" || value != Value::Null {
            self.values.borrow_mut().insert(number, value.clone());
        }
        Ok(value)
    }

    /// Forgets request headers, for when they were changed.
    pub fn forget_request_headers(&self, attributes: &[Attribute]) {
        self.values.borrow_mut().retain(|number, _| {
            !attributes[*number]
                .path
                .starts_with(&["request".into(), "headers".into()])
        });
    }
}
