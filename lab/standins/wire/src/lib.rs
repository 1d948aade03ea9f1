//! The rate limit messages of Envoy's API, as far as the two stand-ins use them.
//!
//! Both sides speak the published protocol; fields that neither reads are left out, which protobuf
//! allows. Kuadrant's own service (`CheckRateLimit`, `Report`) reuses these messages.

use prost::Message;

/// Envoy's service: one call checks and counts.
pub const ENVOY_SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
/// Kuadrant's service: one call checks, another counts.
pub const KUADRANT_SERVICE: &str = "kuadrant.service.ratelimit.v1.RateLimitService";

/// `envoy.service.ratelimit.v3.RateLimitRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitRequest {
    /// The namespace of limits; Kuadrant writes the route's namespace and name.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// What is known of the request.
    #[prost(message, repeated, tag = "2")]
    pub descriptors: Vec<Descriptor>,
    /// How much to count; 0 means that the caller did not say.
    #[prost(uint32, tag = "3")]
    pub hits_addend: u32,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct Descriptor {
    /// Key and value pairs.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Entry {
    /// The name that limits use.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value for this request.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitResponse {
    /// The answer for the whole request.
    #[prost(enumeration = "Code", tag = "1")]
    pub overall_code: i32,
    /// Headers that the caller of the gateway should see.
    #[prost(message, repeated, tag = "3")]
    pub response_headers_to_add: Vec<HeaderValue>,
}

/// `envoy.config.core.v3.HeaderValue`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HeaderValue {
    /// The header's name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `envoy.service.ratelimit.v3.RateLimitResponse.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Code {
    /// The server could not tell.
    Unknown = 0,
    /// Within every limit.
    Ok = 1,
    /// Over one of them.
    OverLimit = 2,
}
