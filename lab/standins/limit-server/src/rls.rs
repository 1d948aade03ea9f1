//! The two gRPC services.

use std::sync::Arc;

use standins_wire::{RateLimitRequest, RateLimitResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::limiter::Limiter;

/// Envoy's service, generated.
#[allow(missing_docs, clippy::all)]
pub mod envoy {
    include!(concat!(
        env!("OUT_DIR"),
        "/envoy.service.ratelimit.v3.RateLimitService.rs"
    ));
}

/// Kuadrant's service, generated.
#[allow(missing_docs, clippy::all)]
pub mod kuadrant {
    include!(concat!(
        env!("OUT_DIR"),
        "/kuadrant.service.ratelimit.v1.RateLimitService.rs"
    ));
}

struct Service(Arc<Limiter>);

/// Both services on one limiter.
pub fn routes(limiter: &Arc<Limiter>) -> Routes {
    use envoy::rate_limit_service_server::RateLimitServiceServer as Envoy;
    use kuadrant::rate_limit_service_server::RateLimitServiceServer as Kuadrant;
    Routes::new(Envoy::new(Service(Arc::clone(limiter))))
        .add_service(Kuadrant::new(Service(Arc::clone(limiter))))
}

/// An error, not the answer "unknown": the caller's failure mode is for errors.
fn answer(
    result: Result<RateLimitResponse, String>,
) -> Result<Response<RateLimitResponse>, Status> {
    result.map(Response::new).map_err(|error| {
        log::error!("a request cannot be judged: {error}");
        Status::unavailable("Service unavailable")
    })
}

#[tonic::async_trait]
impl envoy::rate_limit_service_server::RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        answer(self.0.should_rate_limit(request.get_ref()))
    }
}

#[tonic::async_trait]
impl kuadrant::rate_limit_service_server::RateLimitService for Service {
    async fn check_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        answer(self.0.check(request.get_ref()))
    }

    async fn report(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        answer(self.0.report(request.get_ref()))
    }
}
