//! Messages of Envoy's external authorization, as far as Kuadrant uses them.

use std::collections::{BTreeMap, HashMap};

use cel::Value;
use cel::objects::Map;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp, Value as ProtoValue};

/// `envoy.service.auth.v3.CheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct CheckRequest {
    /// The request.
    #[prost(message, optional, tag = "1")]
    pub attributes: Option<AttributeContext>,
}

/// `envoy.service.auth.v3.AttributeContext`.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeContext {
    /// Who asks.
    #[prost(message, optional, tag = "1")]
    pub source: Option<Peer>,
    /// Who was asked.
    #[prost(message, optional, tag = "2")]
    pub destination: Option<Peer>,
    /// What was asked.
    #[prost(message, optional, tag = "4")]
    pub request: Option<Request>,
    /// Here `host` names the AuthConfig.
    #[prost(btree_map = "string, string", tag = "10")]
    pub context_extensions: BTreeMap<String, String>,
    /// The configured request data.
    #[prost(message, optional, tag = "11")]
    pub metadata_context: Option<Metadata>,
}

/// `envoy.service.auth.v3.AttributeContext.Peer`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Peer {
    /// Its address.
    #[prost(message, optional, tag = "1")]
    pub address: Option<Address>,
}

/// `envoy.config.core.v3.Address`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Address {
    /// The kind of address that peers have.
    #[prost(message, optional, tag = "1")]
    pub socket_address: Option<SocketAddress>,
}

/// `envoy.config.core.v3.SocketAddress`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SocketAddress {
    /// Address as Envoy writes it.
    #[prost(string, tag = "2")]
    pub address: String,
    /// Port.
    #[prost(uint32, tag = "3")]
    pub port_value: u32,
}

/// `envoy.service.auth.v3.AttributeContext.Request`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// When it came.
    #[prost(message, optional, tag = "1")]
    pub time: Option<Timestamp>,
    /// The HTTP part.
    #[prost(message, optional, tag = "2")]
    pub http: Option<HttpRequest>,
}

/// `envoy.service.auth.v3.AttributeContext.HttpRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HttpRequest {
    /// Method.
    #[prost(string, tag = "2")]
    pub method: String,
    /// Headers, lower case.
    #[prost(btree_map = "string, string", tag = "3")]
    pub headers: BTreeMap<String, String>,
    /// Path with query.
    #[prost(string, tag = "4")]
    pub path: String,
    /// Host.
    #[prost(string, tag = "5")]
    pub host: String,
    /// Scheme.
    #[prost(string, tag = "6")]
    pub scheme: String,
    /// Protocol.
    #[prost(string, tag = "10")]
    pub protocol: String,
}

/// `envoy.config.core.v3.Metadata`.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// By namespace.
    #[prost(btree_map = "string, message", tag = "1")]
    pub filter_metadata: BTreeMap<String, Struct>,
}

/// `envoy.service.auth.v3.CheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct CheckResponse {
    /// The answer.
    #[prost(oneof = "Answer", tags = "2, 3")]
    pub answer: Option<Answer>,
    /// What is known of the caller, for later actions.
    #[prost(message, optional, tag = "4")]
    pub dynamic_metadata: Option<Struct>,
}

/// The two answers.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Answer {
    /// No.
    #[prost(message, tag = "2")]
    Denied(DeniedResponse),
    /// Yes.
    #[prost(message, tag = "3")]
    Ok(OkResponse),
}

/// `envoy.service.auth.v3.DeniedHttpResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeniedResponse {
    /// The status to answer with.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Headers to answer with.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderOption>,
    /// Body to answer with.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// `envoy.service.auth.v3.OkHttpResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct OkResponse {
    /// Headers for the request's way on.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<HeaderOption>,
    /// Not supported by Kuadrant's filter either.
    #[prost(string, repeated, tag = "5")]
    pub headers_to_remove: Vec<String>,
    /// Not supported by Kuadrant's filter either.
    #[prost(message, repeated, tag = "6")]
    pub response_headers_to_add: Vec<HeaderOption>,
    /// Not supported by Kuadrant's filter either.
    #[prost(message, repeated, tag = "7")]
    pub query_parameters_to_set: Vec<QueryParameter>,
    /// Not supported by Kuadrant's filter either.
    #[prost(string, repeated, tag = "8")]
    pub query_parameters_to_remove: Vec<String>,
}

/// `envoy.config.core.v3.QueryParameter`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct QueryParameter {
    /// Name.
    #[prost(string, tag = "1")]
    pub key: String,
}

/// `envoy.type.v3.HttpStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HttpStatus {
    /// The number.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// `envoy.config.core.v3.HeaderValueOption`; headers are always replaced, as Kuadrant's filter does.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HeaderOption {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<standins_wire::HeaderValue>,
}

impl OkResponse {
    /// Whether it asks for something that is not done: then the request must not go on.
    pub fn is_unsupported(&self) -> bool {
        !self.headers_to_remove.is_empty()
            || !self.response_headers_to_add.is_empty()
            || !self.query_parameters_to_set.is_empty()
            || !self.query_parameters_to_remove.is_empty()
    }
}

/// The headers of a list of options.
pub fn header_pairs(options: Vec<HeaderOption>) -> Vec<(String, String)> {
    options
        .into_iter()
        .filter_map(|option| option.header)
        .map(|header| (header.key, header.value))
        .collect()
}

/// Protobuf's dynamic values as CEL sees them.
pub fn struct_value(fields: Struct) -> Value {
    let map: HashMap<String, Value> = fields
        .fields
        .into_iter()
        .map(|(name, value)| (name, proto_value(value)))
        .collect();
    Value::Map(Map::from(map))
}

fn proto_value(value: ProtoValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => Value::Float(number),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::StructValue(fields)) => struct_value(fields),
        Some(Kind::ListValue(ListValue { values })) => Value::List(
            values
                .into_iter()
                .map(proto_value)
                .collect::<Vec<_>>()
                .into(),
        ),
    }
}

/// A string as a dynamic value.
pub fn text_value(text: String) -> ProtoValue {
    ProtoValue {
        kind: Some(Kind::StringValue(text)),
    }
}

/// An expression that the authorization service is to evaluate itself.
pub fn expression_value(source: &str) -> ProtoValue {
    let fields = BTreeMap::from([("cel_expr".to_string(), text_value(source.to_string()))]);
    ProtoValue {
        kind: Some(Kind::StructValue(Struct { fields })),
    }
}
