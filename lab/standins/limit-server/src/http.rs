//! Health, limits, counters and metrics over HTTP.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;

use crate::limiter::Limiter;
use crate::status::Status;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers until the task is dropped.
pub async fn serve(listener: TcpListener, limiter: Arc<Limiter>, status: Arc<Status>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of files, for example: without a pause this would spin.
                log::warn!("HTTP: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (limiter, status) = (Arc::clone(&limiter), Arc::clone(&status));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(request.method(), request.uri().path(), &limiter, &status);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                log::debug!("HTTP: {error}");
            }
        });
    }
}

fn answer(
    method: &Method,
    path: &str,
    limiter: &Limiter,
    status: &Status,
) -> Response<Full<Bytes>> {
    let found = match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
        ["status"] => Ok((JSON, status.json().to_string())),
        ["metrics"] => Ok((TEXT, limiter.metrics())),
        ["limits", namespace] if !namespace.is_empty() => {
            Ok((JSON, limiter.limits(&decode(namespace)).to_string()))
        }
        ["counters", namespace] if !namespace.is_empty() => limiter
            .counters(&decode(namespace))
            .map(|counters| (JSON, counters.to_string())),
        _ => return respond(StatusCode::NOT_FOUND, TEXT, String::new()),
    };
    if method != Method::GET && method != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, String::new());
    }
    match found {
        Ok((kind, body)) => respond(StatusCode::OK, kind, body),
        Err(error) => {
            log::error!("{path}: {error}");
            let body = "Internal server error".to_string();
            respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, body)
        }
    }
}

/// A namespace holds a slash, which the path carries as `%2F`.
fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
