//! Every line about a call carries its name, which the caller is told too, and the trace that it is part of.

use std::collections::HashMap;

use countersign::proto::v1;
use tonic::{Request, Status};

use super::Running;
use crate::harness::{Backend, on_both_backends, phone_number};

on_both_backends!(every_line_about_a_call_carries_its_name);

async fn every_line_about_a_call_carries_its_name(backend: Backend) {
    let settings = [("log.format", "json"), ("log.filter", "warn,countersign::rpc=debug")];
    let running = Running::start(backend, &settings).await;
    let mut names = HashMap::new();
    let chosen = ["mine-1", "", "09121234567", "two words", "csk_secret", &"x".repeat(65)];
    for chosen in chosen {
        let ask = v1::RequestOtpRequest { identifier: Some(phone_number("123")), ..Default::default() };
        let mut request = Request::new(ask);
        request.metadata_mut().insert("x-request-id", chosen.parse().unwrap());
        let trace = format!("{:032x}", names.len() + 1);
        request.metadata_mut().insert("traceparent", format!("00-{trace}-00f067aa0ba902b7-00").parse().unwrap());
        let refusal: Status = running.auth().request_otp(request).await.unwrap_err();
        let name = refusal.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
        assert_eq!(name == chosen, chosen == "mine-1", "{chosen}");
        names.insert(name, trace);
    }
    assert_eq!(names.len(), chosen.len());
    let (_, log) = running.program.stopped().await;
    for chosen in &chosen[2..] {
        assert!(!log.contains(chosen), "{chosen} stands in the log");
    }
    let mut found = 0;
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["message"] == "answered" {
            let call = &line["span"];
            let name = call["request_id"].as_str().unwrap();
            if let Some(trace) = names.get(name) {
                assert_eq!(call["trace_id"], trace.as_str());
                assert_eq!(call["rpc.method"], "RequestOtp");
                found += 1;
            }
        }
    }
    assert_eq!(found, names.len(), "{log}");
}
