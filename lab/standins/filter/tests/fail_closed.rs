//! Every way in that must stay closed: what cannot be evaluated, decoded or reached.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests, too

mod support;

use serde_json::{Value as Json, json};
use standins_filter::auth_api::{Answer, CheckResponse, OkResponse, QueryParameter};
use standins_filter::flow::{GRPC_OK, GRPC_UNAVAILABLE, Step};
use standins_wire::{Code, RateLimitResponse};
use support::*;

fn rejected(config: &Json) -> String {
    match standins_filter::plan(config.to_string().as_bytes()) {
        Ok(_) => panic!("accepted: {config}"),
        Err(error) => error,
    }
}

fn limit_action(predicates: Json, data: Json) -> Json {
    json!({
        "service": "ratelimit-allow-service",
        "scope": ROUTE,
        "conditionalData": [{"predicates": predicates, "data": data}],
    })
}

#[test]
fn what_is_not_a_configuration_is_rejected() {
    for text in ["", "{", "[]", "{}", r#"{"services":{},"actionSets":{}}"#] {
        assert!(standins_filter::plan(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn an_expression_that_does_not_parse_rejects_the_configuration() {
    let bad = "request.method ==";
    let data = json!([{"expression": {"key": "a", "value": bad}}]);
    let addend = json!([{"expression": {"key": "ratelimit.hits_addend", "value": bad}}]);
    let domain = json!([{"expression": {"key": "ratelimit.domain", "value": bad}}]);
    let mut predicate = auth();
    predicate["predicates"] = json!([bad]);
    let mut request_data = config(&[], json!([auth()]));
    request_data["requestData"] = json!({"metrics.labels.user": bad});
    for config in [
        config(&[bad], json!([auth()])),
        config(&[], json!([predicate])),
        config(&[], json!([limit_action(json!([bad]), json!([]))])),
        config(&[], json!([limit_action(json!([]), data)])),
        config(&[], json!([limit_action(json!([]), addend)])),
        config(&[], json!([limit_action(json!([]), domain)])),
        request_data,
    ] {
        assert!(rejected(&config).contains("cannot parse"));
    }
}

#[test]
fn an_expression_cannot_break_out_of_its_place() {
    let data = json!([{"expression": {"key": "a", "value": "1) + string(2"}}]);
    rejected(&config(&[], json!([limit_action(json!([]), data)])));
}

#[test]
fn parts_of_cel_that_would_end_the_filter_reject_the_configuration() {
    rejected(&config(
        &["google.protobuf.Struct{} == null"],
        json!([auth()]),
    ));
    rejected(&config(
        &["responseBodyJSON(request.path) == 'a'"],
        json!([auth()]),
    ));
}

#[test]
fn what_the_filter_does_not_do_rejects_the_configuration() {
    let mut unknown = auth();
    unknown["service"] = json!("nowhere");
    let extension = json!({"type": "deny", "predicate": "true", "terminal": true, "denyWith": "x"});
    for action in [unknown, extension, json!({"scope": SCOPE})] {
        rejected(&config(&[], json!([action])));
    }
    let mut tracing = config(&[], json!([{"service": "tracing-service", "scope": ""}]));
    tracing["services"]["tracing-service"] =
        json!({"type": "tracing", "endpoint": "t", "failureMode": "allow"});
    rejected(&tracing);
}

/// Predicates that parse and cannot be evaluated for the request of these tests.
const IMPOSSIBLE: [&str; 14] = [
    "auth.identity.tier == 'free'",
    "request['method'] == 'POST'",
    "nothing == 'a'",
    "nothing(request.method)",
    "request.method",
    "request.method + 1 == 2",
    "request.path.startsWith(1)",
    "request.referer.startsWith('a')",
    "request.referer.exists(x, x == 'a')",
    "request.method.all(x, x == 'a')",
    "request.path.matches('(')",
    "int(request.method) == 1",
    "responseBodyJSON('/usage/total_tokens') > 0",
    "request.method == 'POST' && 1 / 0 == 1",
];

#[test]
fn a_route_predicate_that_cannot_be_evaluated_refuses_the_request() {
    let host = FakeHost::default();
    for predicate in IMPOSSIBLE {
        let refusal = refused_at_once(&config(&[predicate], json!([auth()])), &host)
            .unwrap_or_else(|| panic!("let through by {predicate}"));
        assert_eq!(refusal.status, 500, "{predicate}");
        assert_eq!(
            refusal.body, "Internal Server Error.\n",
            "the reason is not for the caller"
        );
    }
}

#[test]
fn an_action_s_predicate_that_cannot_be_evaluated_refuses_the_request() {
    let host = FakeHost::default();
    for predicate in IMPOSSIBLE {
        for action in [
            json!({"service": "auth-service", "scope": SCOPE, "predicates": [predicate]}),
            json!({"service": "ratelimit-allow-service", "scope": ROUTE, "predicates": [predicate]}),
            limit_action(json!([predicate]), json!([])),
        ] {
            let refusal = refused_at_once(&config(&[], json!([action])), &host);
            assert_eq!(
                refusal.map(|r| r.status),
                Some(500),
                "{predicate} in {action}"
            );
        }
    }
}

#[test]
fn a_condition_that_cannot_be_evaluated_refuses_though_another_holds() {
    let host = FakeHost::default();
    let action = json!({
        "service": "ratelimit-allow-service",
        "scope": ROUTE,
        "conditionalData": [
            {"predicates": ["request.method == 'POST'"], "data": [{"static": {"key": "a", "value": "1"}}]},
            {"predicates": ["nothing == 'a'"], "data": [{"static": {"key": "b", "value": "1"}}]},
        ],
    });
    assert!(refused_at_once(&config(&[], json!([action])), &host).is_some());
}

#[test]
fn data_that_cannot_be_evaluated_refuses_the_request() {
    let host = FakeHost::default();
    for (key, value) in [
        ("a", "auth.identity.userid"),
        ("a", "request.headers"),
        ("a", "request.referer"),
        ("a", "nothing"),
        ("ratelimit.hits_addend", "'many'"),
        ("ratelimit.hits_addend", "-1"),
        ("ratelimit.hits_addend", "4294967296"),
        (
            "ratelimit.hits_addend",
            "responseBodyJSON('/usage/total_tokens')",
        ),
        ("ratelimit.domain", "1"),
        ("ratelimit.domain", "nothing"),
    ] {
        let data = json!([{"expression": {"key": key, "value": value}}]);
        let config = config(&[], json!([limit_action(json!([]), data)]));
        assert!(refused_at_once(&config, &host).is_some(), "{key}: {value}");
    }
}

#[test]
fn request_data_that_cannot_be_evaluated_refuses_the_request() {
    let host = FakeHost::default();
    for action in [
        auth(),
        json!({"service": "ratelimit-allow-service", "scope": ROUTE}),
    ] {
        let mut config = config(&[], json!([action]));
        config["requestData"] = json!({"metrics.labels.user": "nothing"});
        assert!(refused_at_once(&config, &host).is_some());
    }
}

#[test]
fn a_tier_that_the_authorization_did_not_name_refuses_the_request() {
    let host = FakeHost::default();
    let config = config(&[], json!([auth(), requests("free")]));
    let mut flow = start(&config, &host);
    call(flow.advance(&host));
    let mut nameless = granted("free");
    nameless.dynamic_metadata = None;
    assert!(matches!(answer(&mut flow, &host, &nameless), Step::Refuse(r) if r.status == 500));
}

#[test]
fn a_service_that_fails_refuses_where_it_must_not_fail() {
    let host = FakeHost::default();
    for (status, message) in [
        (GRPC_UNAVAILABLE, None),
        (4, None),
        (GRPC_OK, Some(&b"\xff\xff\xff"[..])),
        // An empty message: neither granted nor denied, neither within nor over a limit.
        (GRPC_OK, Some(&b""[..])),
        (GRPC_OK, None),
    ] {
        let mut flow = start(&config(&[], json!([auth()])), &host);
        call(flow.advance(&host));
        let step = flow.answer(&host, status, message);
        assert!(
            matches!(step, Step::Refuse(r) if r.status == 500),
            "auth: {status} {message:?}"
        );

        let limited = config(&[], json!([auth(), requests("free")]));
        let (mut flow, step) = authorized(&limited, &host, "free");
        call(step);
        let step = flow.answer(&host, status, message);
        assert!(
            matches!(step, Step::Refuse(r) if r.status == 500),
            "limit: {status} {message:?}"
        );
    }
}

#[test]
fn a_service_that_may_fail_lets_the_request_on_but_only_when_it_fails() {
    let host = FakeHost::default();
    let action = limit_action(json!([]), json!([{"static": {"key": "a", "value": "1"}}]));
    let config = config(&[], json!([action]));
    let mut flow = start(&config, &host);
    call(flow.advance(&host));
    assert_eq!(flow.answer(&host, GRPC_UNAVAILABLE, None), Step::Proceed);

    let mut flow = start(&config, &host);
    call(flow.advance(&host));
    let over = limit(Code::OverLimit, &[]);
    assert!(matches!(answer(&mut flow, &host, &over), Step::Refuse(r) if r.status == 429));
}

#[test]
fn an_unknown_limit_answer_refuses() {
    let host = FakeHost::default();
    for overall_code in [0, 3, -1] {
        let config = config(&[], json!([auth(), requests("free")]));
        let (mut flow, step) = authorized(&config, &host, "free");
        call(step);
        let unknown = RateLimitResponse {
            overall_code,
            ..RateLimitResponse::default()
        };
        assert!(matches!(answer(&mut flow, &host, &unknown), Step::Refuse(r) if r.status == 500));
    }
}

#[test]
fn a_grant_under_conditions_that_are_not_done_refuses() {
    let host = FakeHost::default();
    let conditions = [
        OkResponse {
            headers_to_remove: vec!["a".into()],
            ..OkResponse::default()
        },
        OkResponse {
            response_headers_to_add: options(&[("a", "b")]),
            ..OkResponse::default()
        },
        OkResponse {
            query_parameters_to_set: vec![QueryParameter { key: "a".into() }],
            ..OkResponse::default()
        },
        OkResponse {
            query_parameters_to_remove: vec!["a".into()],
            ..OkResponse::default()
        },
    ];
    for granted in conditions {
        let mut flow = start(&config(&[], json!([auth()])), &host);
        call(flow.advance(&host));
        let response = CheckResponse {
            answer: Some(Answer::Ok(granted)),
            dynamic_metadata: None,
        };
        assert!(matches!(answer(&mut flow, &host, &response), Step::Refuse(r) if r.status == 500));
    }
}

#[test]
fn a_request_that_envoy_cannot_describe_is_refused() {
    let mut host = FakeHost {
        broken: true,
        ..FakeHost::default()
    };
    assert!(refused_at_once(&config(&[], json!([auth()])), &host).is_some());
    host.broken = false;
    host.properties.remove("request.host");
    assert!(refused_at_once(&config(&[], json!([auth()])), &host).is_some());
    let host = FakeHost::with("source.port", "short");
    assert!(refused_at_once(&config(&["source.port == 1"], json!([auth()])), &host).is_some());
    let host = FakeHost::with("request.time", "short");
    assert!(refused_at_once(&config(&[], json!([auth()])), &host).is_some());
}

#[test]
fn an_answer_to_no_call_refuses() {
    let host = FakeHost::default();
    let mut flow = start(&config(&[], json!([])), &host);
    flow.advance(&host);
    assert!(matches!(
        answer(&mut flow, &host, &granted("free")),
        Step::Refuse(_)
    ));
}
