//! The server as its callers see it: over gRPC and HTTP, on ports of its own.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests, too

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use limit_server::limiter::Limiter;
use limit_server::metrics::Metrics;
use limit_server::serve::{Source, serve};
use limit_server::status::Status;
use limitador::limit::Expression;
use serde_json::Value as Json;
use standins_wire::{Code, Descriptor, Entry, RateLimitRequest, RateLimitResponse};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

const NAMESPACE: &str = "maas-gateway/maas-inference";
const SHOULD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const CHECK: &str = "/kuadrant.service.ratelimit.v1.RateLimitService/CheckRateLimit";
const REPORT: &str = "/kuadrant.service.ratelimit.v1.RateLimitService/Report";
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    directory: TempDir,
    grpc: Grpc<Channel>,
    http: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), String>>,
}

fn limit(tier: &str, max: u64, seconds: u64) -> String {
    format!(
        "- namespace: {NAMESPACE}\n  name: {tier}\n  max_value: {max}\n  seconds: {seconds}\n  \
         conditions: ['descriptors[0][\"limit.{tier}\"] == \"1\"']\n  \
         variables: ['descriptors[0][\"auth.identity.userid\"]']\n"
    )
}

/// Replaces the file as kubelet replaces a ConfigMap's: through a link to a new directory.
fn publish(directory: &Path, version: &str, text: &str) -> PathBuf {
    let data = directory.join(version);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("limits.yaml"), text).unwrap();
    let link = directory.join("..data_tmp");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    std::fs::rename(link, directory.join("..data")).unwrap();
    let file = directory.join("limits.yaml");
    if !file.is_symlink() {
        std::os::unix::fs::symlink("..data/limits.yaml", &file).unwrap();
    }
    file
}

async fn run(text: &str) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let file = publish(directory.path(), "first", text);
    let labels = Expression::parse("descriptors[1]").unwrap();
    let limiter = Arc::new(Limiter::new(1000, Metrics::new(Some(labels), false), true));
    let status = Arc::new(Status::default());
    let source = Source::open(&file, &limiter, &status).unwrap();
    let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", grpc.local_addr().unwrap());
    let http = web.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(grpc, web, limiter, status, source, async {
        let _ = stopped.await;
    }));
    let channel = Channel::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    Running {
        directory,
        grpc: Grpc::new(channel),
        http,
        stop: Some(stop),
        task,
    }
}

fn request(tier: &str, user: &str, addend: u32) -> RateLimitRequest {
    let entry = |key: &str, value: &str| Entry {
        key: key.to_string(),
        value: value.to_string(),
    };
    RateLimitRequest {
        domain: NAMESPACE.to_string(),
        descriptors: vec![
            Descriptor {
                entries: vec![
                    entry(&format!("limit.{tier}"), "1"),
                    entry("auth.identity.userid", user),
                ],
            },
            Descriptor {
                entries: vec![entry("user", user)],
            },
        ],
        hits_addend: addend,
    }
}

impl Running {
    async fn ask(&mut self, path: &'static str, request: RateLimitRequest) -> RateLimitResponse {
        self.grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::default();
        let path = PathAndQuery::from_static(path);
        let request = tonic::Request::new(request);
        self.grpc
            .unary(request, path, codec)
            .await
            .unwrap()
            .into_inner()
    }

    async fn code(&mut self, path: &'static str, user: &str, addend: u32) -> Code {
        let response = self.ask(path, request("free", user, addend)).await;
        Code::try_from(response.overall_code).unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_string(),
        )
    }

    async fn json(&self, path: &str) -> Json {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&body).unwrap()
    }

    async fn limits(&self) -> Json {
        self.json("/limits/maas-gateway%2Fmaas-inference").await
    }

    async fn used(&self, user: &str) -> u64 {
        let counters = self.json("/counters/maas-gateway%2Fmaas-inference").await;
        counters
            .as_array()
            .unwrap()
            .iter()
            .filter(|counter| {
                let variables: HashMap<String, String> =
                    serde_json::from_value(counter["set_variables"].clone()).unwrap();
                variables.values().any(|value| value == user)
            })
            .map(|counter| {
                counter["limit"]["max_value"].as_u64().unwrap()
                    - counter["remaining"].as_u64().unwrap()
            })
            .sum()
    }

    /// Waits for the file's version to be looked at, in force or refused.
    async fn wait_for(&self, field: &str, value: u64) {
        let start = Instant::now();
        while self.json("/status").await[field] != value {
            assert!(start.elapsed() < PATIENCE, "{field} never became {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn should_rate_limit_checks_and_counts() {
    let mut server = run(&limit("free", 2, 3600)).await;
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
    assert_eq!(
        server.code(SHOULD, "alice", 0).await,
        Code::Ok,
        "0 counts as 1"
    );
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::OverLimit);
    assert_eq!(
        server.used("alice").await,
        2,
        "a refused request does not count"
    );
    assert_eq!(
        server.code(SHOULD, "bob", 1).await,
        Code::Ok,
        "users share nothing"
    );
}

#[tokio::test]
async fn check_counts_nothing_and_report_counts_whatever_the_limit() {
    let mut server = run(&limit("free", 10, 3600)).await;
    for _ in 0..20 {
        assert_eq!(server.code(CHECK, "alice", 0).await, Code::Ok);
    }
    assert_eq!(server.used("alice").await, 0);
    assert_eq!(server.code(REPORT, "alice", 9).await, Code::Ok);
    assert_eq!(
        server.code(CHECK, "alice", 0).await,
        Code::Ok,
        "below the limit"
    );
    assert_eq!(
        server.code(REPORT, "alice", 100).await,
        Code::Ok,
        "the one that crosses it"
    );
    assert_eq!(server.code(CHECK, "alice", 0).await, Code::OverLimit);
    assert_eq!(server.code(CHECK, "bob", 0).await, Code::Ok);
    server.code(REPORT, "bob", 0).await;
    assert_eq!(server.used("bob").await, 1, "0 counts as 1");
}

#[tokio::test]
async fn every_window_counts_and_the_tightest_decides() {
    let limits = limit("free", 100, 60) + &limit("free", 3, 3600) + &limit("premium", 1, 60);
    let mut server = run(&limits).await;
    for _ in 0..3 {
        assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
    }
    let over = server.ask(SHOULD, request("free", "alice", 1)).await;
    assert_eq!(over.overall_code, i32::from(Code::OverLimit));
    let headers: HashMap<_, _> = over
        .response_headers_to_add
        .into_iter()
        .map(|header| (header.key, header.value))
        .collect();
    assert_eq!(headers["X-RateLimit-Remaining"], "0");
    assert!(
        headers["X-RateLimit-Limit"].starts_with("3, 3;w=3600"),
        "{headers:?}"
    );
    assert!(headers["X-RateLimit-Reset"].parse::<u64>().unwrap() <= 3600);
    let premium = server.ask(SHOULD, request("premium", "alice", 1)).await;
    assert_eq!(
        premium.overall_code,
        i32::from(Code::Ok),
        "tiers share nothing"
    );
}

#[tokio::test]
async fn a_window_ends() {
    let mut server = run(&limit("free", 1, 1)).await;
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
    let start = Instant::now();
    while server.code(SHOULD, "alice", 1).await == Code::OverLimit {
        assert!(start.elapsed() < PATIENCE, "the window never ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_no_limit_is_for_passes() {
    let mut server = run("[]\n").await;
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
    assert_eq!(server.code(CHECK, "alice", 1).await, Code::Ok);
    let mut nameless = request("free", "alice", 1);
    nameless.domain.clear();
    for path in [SHOULD, CHECK, REPORT] {
        let response = server.ask(path, nameless.clone()).await;
        assert_eq!(response.overall_code, i32::from(Code::Unknown), "{path}");
    }
}

#[tokio::test]
async fn new_limits_come_into_force_and_counters_of_others_stay() {
    let mut server = run("[]\n").await;
    let directory = server.directory.path().to_path_buf();
    publish(
        &directory,
        "second",
        &(limit("free", 5, 3600) + &limit("premium", 1, 60)),
    );
    server.wait_for("config_version", 2).await;
    assert_eq!(server.limits().await.as_array().unwrap().len(), 2);
    for _ in 0..3 {
        server.code(SHOULD, "alice", 1).await;
    }

    // Another maximum is the same limit: what was used stays used.
    publish(
        &directory,
        "third",
        &(limit("free", 3, 3600) + &limit("gold", 1, 60)),
    );
    server.wait_for("config_version", 3).await;
    assert_eq!(server.used("alice").await, 3);
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::OverLimit);

    publish(&directory, "fourth", &limit("free", 9, 3600));
    server.wait_for("config_version", 4).await;
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
    assert_eq!(server.used("alice").await, 4);

    publish(&directory, "fifth", "[]\n");
    server.wait_for("config_version", 5).await;
    assert_eq!(server.limits().await, serde_json::json!([]));
}

#[tokio::test]
async fn a_bad_file_changes_nothing() {
    let mut server = run(&limit("free", 1, 3600)).await;
    server.code(SHOULD, "alice", 1).await;
    let directory = server.directory.path().to_path_buf();
    let bad = limit("free", 100, 3600).replace("descriptors[0]", "nothing(");
    for (count, text) in ["[", bad.as_str(), ""].into_iter().enumerate() {
        publish(&directory, &format!("bad{count}"), text);
        server.wait_for("config_err_since", count as u64 + 1).await;
        assert_eq!(
            server.code(SHOULD, "alice", 1).await,
            Code::OverLimit,
            "{text:?}"
        );
    }
    publish(&directory, "good", &limit("free", 2, 3600));
    server.wait_for("config_version", 2).await;
    assert_eq!(server.json("/status").await["config_err_since"], 0);
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
}

#[tokio::test]
async fn a_plain_file_is_watched_too() {
    let server = run("[]\n").await;
    let path = server.directory.path().join("first/limits.yaml");
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(limit("free", 1, 1).as_bytes()).unwrap();
    drop(file);
    let start = Instant::now();
    while server.limits().await == serde_json::json!([]) {
        assert!(
            start.elapsed() < PATIENCE,
            "the file's change was never seen"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_condition_that_fails_at_a_request_is_an_error_and_the_server_lives() {
    let text = format!(
        "- {{namespace: {NAMESPACE}, max_value: 1, seconds: 60, variables: [], \
         conditions: ['int(descriptors[0][\"number\"]) > 5']}}\n"
    );
    let mut server = run(&text).await;
    let mut odd = request("free", "alice", 1);
    odd.descriptors[0].entries.push(Entry {
        key: "number".into(),
        value: "many".into(),
    });
    for path in [SHOULD, CHECK, REPORT] {
        server.grpc.ready().await.unwrap();
        let codec: tonic_prost::ProstCodec<RateLimitRequest, RateLimitResponse> =
            tonic_prost::ProstCodec::default();
        let request = tonic::Request::new(odd.clone());
        let path = PathAndQuery::from_static(path);
        let error = server.grpc.unary(request, path, codec).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unavailable);
    }
    assert_eq!(server.get("/status").await.0, 200);
}

#[tokio::test]
async fn metrics_carry_request_data() {
    let mut server = run(&limit("free", 1, 3600)).await;
    server.code(SHOULD, "alice", 1).await;
    server.code(SHOULD, "alice", 1).await;
    server.code(CHECK, "bob", 0).await;
    server.code(REPORT, "bob", 42).await;
    let (status, text) = server.get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "authorized_calls{user=\"alice\",limitador_namespace=\"maas-gateway/maas-inference\"} 1",
        "limited_calls{user=\"alice\",limitador_namespace=\"maas-gateway/maas-inference\"} 1",
        "authorized_hits{user=\"bob\",limitador_namespace=\"maas-gateway/maas-inference\"} 42",
        "limitador_up 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn http_knows_its_paths() {
    let server = run(&limit("free", 1, 3600)).await;
    assert_eq!(server.limits().await[0]["max_value"], 1);
    assert_eq!(
        server.json("/limits/other%2Froute").await,
        serde_json::json!([])
    );
    assert!(server.json("/status").await["started_at"].is_string());
    for path in ["/", "/limits", "/limits/", "/limits/a/b", "/nothing"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn it_stops_when_asked_though_a_caller_stays_connected() {
    let mut server = run("[]\n").await;
    assert_eq!(server.code(SHOULD, "alice", 1).await, Code::Ok);
    server.stop.take().unwrap().send(()).unwrap();
    let ended = tokio::time::timeout(PATIENCE, server.task).await.unwrap();
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn it_does_not_start_without_limits_it_can_use() {
    let directory = tempfile::tempdir().unwrap();
    let limiter = Limiter::new(10, Metrics::default(), false);
    let status = Status::default();
    let missing = directory.path().join("missing.yaml");
    assert!(Source::open(&missing, &limiter, &status).is_err());
    let bad = publish(directory.path(), "bad", "[{}]");
    assert!(Source::open(&bad, &limiter, &status).is_err());
}
