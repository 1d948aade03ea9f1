//! Generates the two gRPC services around messages that are written by hand.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let call = |name: &str, route: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type("standins_wire::RateLimitRequest")
            .output_type("standins_wire::RateLimitResponse")
            .codec_path("tonic_prost::ProstCodec")
            .build()
    };
    let envoy = Service::builder()
        .name("RateLimitService")
        .package("envoy.service.ratelimit.v3")
        .method(call("should_rate_limit", "ShouldRateLimit"))
        .build();
    let kuadrant = Service::builder()
        .name("RateLimitService")
        .package("kuadrant.service.ratelimit.v1")
        .method(call("check_rate_limit", "CheckRateLimit"))
        .method(call("report", "Report"))
        .build();
    Builder::new().compile(&[envoy, kuadrant]);
    println!("cargo:rerun-if-changed=build.rs");
}
