//! What the filter sends to its services, and what their answers do.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests, too

mod support;

use serde_json::json;
use standins_filter::auth_api::{Answer, OkResponse};
use standins_filter::flow::{Flow, GRPC_OK, GRPC_UNAVAILABLE, Start, Step};
use standins_wire::Code;
use support::*;

fn service_of(flow: &Flow, call: &standins_filter::flow::Call) -> &'static str {
    flow.service(call.service).method
}

#[test]
fn the_authorization_service_sees_the_whole_request() {
    let host = FakeHost::default();
    let config = config(&[], json!([auth()]));
    let mut flow = start(&config, &host);
    let call = call(flow.advance(&host));
    let service = flow.service(call.service);
    assert_eq!(service.endpoint, "kuadrant-auth");
    assert_eq!(service.service, "envoy.service.auth.v3.Authorization");
    assert_eq!(service.timeout.as_millis(), 200);

    let attributes = check_request(&call).attributes.unwrap();
    assert_eq!(attributes.context_extensions["host"], SCOPE);
    let request = attributes.request.unwrap();
    assert_eq!(request.time.unwrap().seconds, 1_730_987_538);
    let http = request.http.unwrap();
    assert_eq!(http.method, "POST");
    assert_eq!(http.path, "/llm/gemma/v1/chat/completions?a=1");
    assert_eq!(http.host, "maas.lab.test:8443");
    assert_eq!(http.scheme, "https");
    assert_eq!(http.protocol, "HTTP/1.1");
    assert_eq!(http.headers["authorization"], "Bearer secret");
    assert_eq!(http.headers["accept"], "a,b");
    let source = attributes
        .source
        .unwrap()
        .address
        .unwrap()
        .socket_address
        .unwrap();
    assert_eq!(
        (source.address.as_str(), source.port_value),
        ("10.0.0.7:41000", 41000)
    );
    let destination = attributes
        .destination
        .unwrap()
        .address
        .unwrap()
        .socket_address
        .unwrap();
    assert_eq!(destination.port_value, 8443);
}

#[test]
fn a_denial_reaches_the_caller_as_it_is() {
    let host = FakeHost::default();
    for (status, expected) in [
        (Some(401), 401),
        (Some(302), 302),
        (Some(0), 403),
        (None, 403),
    ] {
        let mut flow = start(&config(&[], json!([auth()])), &host);
        call(flow.advance(&host));
        let denied = denied(status, &[("www-authenticate", "Bearer")], "no");
        let Step::Refuse(refusal) = answer(&mut flow, &host, &denied) else {
            panic!("not refused");
        };
        assert_eq!(refusal.status, expected);
        assert_eq!(
            refusal.headers,
            [("www-authenticate".to_string(), "Bearer".to_string())]
        );
        assert_eq!(refusal.body, "no");
    }
}

#[test]
fn a_grant_replaces_headers() {
    let host = FakeHost::default();
    let config = config(
        &[],
        json!([auth(), {
            "service": "ratelimit-service",
            "scope": ROUTE,
            "conditionalData": [{"data": [
                {"expression": {"key": "user", "value": "request.headers['x-user']"}},
            ]}],
        }]),
    );
    host.set_header("x-user", "mallory");
    let mut flow = start(&config, &host);
    call(flow.advance(&host));
    let mut granted = granted("free");
    granted.answer = Some(Answer::Ok(OkResponse {
        headers: options(&[("x-user", "alice"), ("x-user", "bob")]),
        ..OkResponse::default()
    }));
    let limit = call(answer(&mut flow, &host, &granted));
    assert_eq!(host.header("x-user").as_deref(), Some("bob"));
    assert_eq!(entries(&limit_request(&limit))[0]["user"], "bob");
}

#[test]
fn limits_are_asked_for_the_caller_s_tier_only() {
    let host = FakeHost::default();
    let config = config(
        &["request.url_path.startsWith('/llm/')"],
        json!([auth(), requests("free"), requests("premium")]),
    );
    let (mut flow, step) = authorized(&config, &host, "premium");
    let call = call(step);
    assert_eq!(service_of(&flow, &call), "ShouldRateLimit");
    let request = limit_request(&call);
    assert_eq!(request.domain, ROUTE);
    assert_eq!(request.hits_addend, 1);
    assert_eq!(
        serde_json::to_value(entries(&request)).unwrap(),
        json!([{"limit.premium": "1", "auth.identity.userid": "alice"}])
    );
    assert_eq!(
        answer(&mut flow, &host, &limit(Code::Ok, &[])),
        Step::Proceed
    );
}

#[test]
fn over_a_limit_is_429_with_the_limit_s_headers() {
    let host = FakeHost::default();
    let config = config(&[], json!([auth(), requests("free")]));
    let (mut flow, step) = authorized(&config, &host, "free");
    call(step);
    let over = limit(Code::OverLimit, &[("X-RateLimit-Remaining", "0")]);
    let Step::Refuse(refusal) = answer(&mut flow, &host, &over) else {
        panic!("not refused");
    };
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.body, "Too Many Requests\n");
    assert_eq!(
        refusal.headers,
        [("X-RateLimit-Remaining".to_string(), "0".to_string())]
    );
}

#[test]
fn within_a_limit_its_headers_are_on_the_response() {
    let mut host = FakeHost::default();
    let config = config(&[], json!([auth(), requests("free")]));
    let (mut flow, step) = authorized(&config, &host, "free");
    call(step);
    let within = limit(Code::Ok, &[("X-RateLimit-Remaining", "4")]);
    assert_eq!(answer(&mut flow, &host, &within), Step::Proceed);
    host.respond("application/json");
    assert_eq!(
        flow.begin_response(&host),
        [("X-RateLimit-Remaining".to_string(), "4".to_string())]
    );
    assert!(!flow.reads_body(), "a body is read for reports only");
}

#[test]
fn every_check_comes_before_the_request_goes_on() {
    // The operator writes check and report in pairs; with two limits for one caller the second
    // check stands behind the first report.
    let host = FakeHost::default();
    let mut actions = vec![auth()];
    actions.extend(tokens("free"));
    actions.extend(tokens("free"));
    let (mut flow, step) = authorized(&config(&[], json!(actions)), &host, "free");
    let first = call(step);
    assert_eq!(service_of(&flow, &first), "CheckRateLimit");
    assert_eq!(limit_request(&first).hits_addend, 0);
    let second = call(answer(&mut flow, &host, &limit(Code::Ok, &[])));
    assert_eq!(service_of(&flow, &second), "CheckRateLimit");
    assert_eq!(
        answer(&mut flow, &host, &limit(Code::Ok, &[])),
        Step::Proceed
    );
}

fn served(host: &FakeHost, tier: &str) -> Flow {
    let mut actions = vec![auth()];
    actions.extend(tokens("free"));
    actions.extend(tokens("premium"));
    let (mut flow, step) = authorized(&config(&[], json!(actions)), host, tier);
    call(step);
    assert_eq!(
        answer(&mut flow, host, &limit(Code::Ok, &[])),
        Step::Proceed
    );
    flow
}

#[test]
fn usage_is_reported_when_the_response_is_over() {
    let body: &[u8] = br#"{"usage":{"total_tokens":42}}"#;
    let stream: &[u8] =
        b"data: {\"choices\":[]}\n\ndata: {\"usage\":{\"total_tokens\":42}}\n\ndata: [DONE]\n\n";
    for (content_type, chunks) in [
        ("application/json", vec![body]),
        ("application/json", vec![&body[..9], &body[9..]]),
        ("text/event-stream", vec![&stream[..40], &stream[40..]]),
    ] {
        let mut host = FakeHost::default();
        let mut flow = served(&host, "premium");
        let mut sent = reports(&mut flow, &mut host, content_type, &chunks);
        assert_eq!(sent.len(), 1);
        let report = sent.remove(0).unwrap();
        assert_eq!(service_of(&flow, &report), "Report");
        let request = limit_request(&report);
        assert_eq!(request.hits_addend, 42);
        assert_eq!(
            serde_json::to_value(entries(&request)).unwrap(),
            json!([{"tokenlimit.premium": "1", "auth.identity.userid": "alice"}])
        );
        assert!(flow.finish(&host).is_empty(), "reported once");
        assert_eq!(flow.report_answer(report.service, GRPC_OK), None);
        assert_eq!(flow.report_answer(report.service, GRPC_UNAVAILABLE), None);
    }
}

#[test]
fn a_response_without_usage_is_not_reported() {
    for (content_type, body) in [
        ("application/json", &b"{\"choices\":[]}"[..]),
        ("application/json", b""),
        (
            "text/event-stream",
            b"data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
        ),
        (
            "application/json",
            b"{\"usage\":{\"total_tokens\":99999999999}}",
        ),
    ] {
        let mut host = FakeHost::default();
        let mut flow = served(&host, "free");
        assert!(reports(&mut flow, &mut host, content_type, &[body]).is_empty());
    }
}

#[test]
fn a_report_that_must_not_fail_cuts_the_response_off() {
    let [check, mut report] = tokens("free");
    report["service"] = json!("ratelimit-report-deny-service");
    let mut host = FakeHost::default();
    let config = config(&[], json!([auth(), check, report]));
    let (mut flow, step) = authorized(&config, &host, "free");
    call(step);
    answer(&mut flow, &host, &limit(Code::Ok, &[]));
    let sent = reports(&mut flow, &mut host, "application/json", &[b"{}"]);
    assert_eq!(sent[0].as_ref().unwrap_err().status, 500);
}

#[test]
fn reports_see_the_request_as_it_came() {
    // The route rewrites the path between request and response.
    let [_, mut report] = tokens("free");
    let block = &mut report["conditionalData"][0];
    block["predicates"] = json!(["request.url_path.startsWith('/llm/gemma')"]);
    block["data"]
        .as_array_mut()
        .unwrap()
        .push(json!({"expression": {"key": "path", "value": "request.url_path"}}));
    let mut host = FakeHost::default();
    let config = config(&[], json!([auth(), report]));
    let (mut flow, step) = authorized(&config, &host, "free");
    assert_eq!(step, Step::Proceed);
    host.set("request.url_path", "/v1/chat/completions");
    let body: &[u8] = br#"{"usage":{"total_tokens":1}}"#;
    let mut sent = reports(&mut flow, &mut host, "application/json", &[body]);
    let request = limit_request(&sent.remove(0).unwrap());
    assert_eq!(
        entries(&request)[0]["path"],
        "/llm/gemma/v1/chat/completions"
    );
}

#[test]
fn request_data_is_the_second_descriptor() {
    let mut host = FakeHost::default();
    let mut config = config(&[], json!([auth(), requests("free"), tokens("free")[1]]));
    config["requestData"] = json!({
        "metrics.labels.user": "auth.identity.userid",
        "metrics.labels.total": "responseBodyJSON('/usage/total_tokens')",
        "other.thing": "request.method",
        "plain": "'x'",
    });
    let mut flow = start(&config, &host);
    let check = check_request(&call(flow.advance(&host)));
    let metadata = check
        .attributes
        .unwrap()
        .metadata_context
        .unwrap()
        .filter_metadata;
    assert_eq!(metadata["io.kuadrant.other"].fields["thing"], text("POST"));
    assert_eq!(metadata["io.kuadrant"].fields["plain"], text("x"));
    // What the authorization decides is left to it.
    let labels = &metadata["io.kuadrant.metrics.labels"].fields;
    let Some(prost_types::value::Kind::StructValue(user)) = &labels["user"].kind else {
        panic!("no expression");
    };
    assert_eq!(user.fields["cel_expr"], text("auth.identity.userid"));
    assert!(!labels.contains_key("total"));

    let request = limit_request(&call(answer(&mut flow, &host, &granted("free"))));
    assert_eq!(
        serde_json::to_value(&entries(&request)[1]).unwrap(),
        json!({"plain": "x", "user": "alice", "other.thing": "POST"})
    );
    answer(&mut flow, &host, &limit(Code::Ok, &[]));
    let body: &[u8] = br#"{"usage":{"total_tokens":42}}"#;
    let mut sent = reports(&mut flow, &mut host, "application/json", &[body]);
    let request = limit_request(&sent.remove(0).unwrap());
    assert_eq!(entries(&request)[1]["total"], "42");
}

#[test]
fn domain_and_addend_are_the_call_s_own_fields() {
    let host = FakeHost::default();
    let config = config(
        &[],
        json!([{
            "service": "ratelimit-service",
            "scope": ROUTE,
            "conditionalData": [{"data": [
                {"static": {"key": "ratelimit.domain", "value": "other"}},
                {"static": {"key": "ratelimit.hits_addend", "value": "3"}},
                {"static": {"key": "fixed", "value": "a \"b\""}},
            ]}],
        }]),
    );
    let mut flow = start(&config, &host);
    let request = limit_request(&call(flow.advance(&host)));
    assert_eq!((request.domain.as_str(), request.hits_addend), ("other", 3));
    assert_eq!(
        serde_json::to_value(entries(&request)).unwrap(),
        json!([{"fixed": "a \"b\""}])
    );
}

#[test]
fn a_limit_without_data_is_asked_without_descriptors() {
    let host = FakeHost::default();
    let config = config(
        &[],
        json!([{"service": "ratelimit-service", "scope": ROUTE}]),
    );
    let mut flow = start(&config, &host);
    assert!(
        limit_request(&call(flow.advance(&host)))
            .descriptors
            .is_empty()
    );
}

#[test]
fn routes_are_chosen_by_host_and_predicates() {
    let mut config = config(&["request.method == 'GET'"], json!([auth()]));
    let set = |name: &str, hosts: serde_json::Value, predicates: serde_json::Value| {
        json!({
            "name": name,
            "routeRuleConditions": {"hostnames": hosts, "predicates": predicates},
            "actions": [auth()],
        })
    };
    let sets = config["actionSets"].as_array_mut().unwrap();
    sets.push(set("header", json!(["maas.lab.test"]), json!([
        "request.headers.exists(h, h.lowerAscii() == 'x-model' && request.headers[h] == 'gemma')"
    ])));
    sets.push(set("query", json!(["maas.lab.test"]), json!([
        "'model' in queryMap(request.query) ? queryMap(request.query)['model'] == 'gemma' : false"
    ])));
    sets.push(set(
        "path",
        json!(["maas.lab.test"]),
        json!(["request.url_path.matches('^/llm/[a-z]+/v1/')"]),
    ));
    sets.push(set("wildcard", json!(["*.lab.test"]), json!([])));

    let chosen = |host: &FakeHost| match Flow::start(&plan(&config), host) {
        Start::Matched(flow) => flow.name().to_string(),
        Start::Unmatched => "none".to_string(),
        Start::Refused(refusal) => panic!("{refusal:?}"),
    };
    assert_eq!(chosen(&FakeHost::with("request.method", "GET")), "8a55ba7d");
    assert_eq!(chosen(&FakeHost::default()), "path");
    assert_eq!(
        chosen(&FakeHost::with("request.host", "MAAS.lab.TEST")),
        "path"
    );
    assert_eq!(
        chosen(&FakeHost::with("request.query", "b=2&model=gemma")),
        "query"
    );
    assert_eq!(
        chosen(&FakeHost::with("request.url_path", "/slots")),
        "none"
    );
    assert_eq!(
        chosen(&FakeHost::with("request.host", "other.lab.test")),
        "wildcard"
    );
    assert_eq!(chosen(&FakeHost::with("request.host", "lab.test")), "none");
    let host = FakeHost::default();
    host.set_header("X-Model", "gemma");
    assert_eq!(chosen(&host), "header");
}

#[test]
fn an_action_whose_predicates_do_not_hold_is_skipped() {
    let host = FakeHost::default();
    let mut action = auth();
    action["predicates"] = json!(["request.method == 'GET'"]);
    let mut flow = start(&config(&[], json!([action])), &host);
    assert_eq!(flow.advance(&host), Step::Proceed);
}

#[test]
fn a_set_without_actions_lets_the_request_on() {
    let host = FakeHost::default();
    let mut config = config(&[], json!([]));
    config["actionSets"][0]
        .as_object_mut()
        .unwrap()
        .remove("actions");
    assert_eq!(start(&config, &host).advance(&host), Step::Proceed);
}
