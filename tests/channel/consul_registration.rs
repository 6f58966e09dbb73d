//! Servers that register themselves with Consul, against an agent on a real socket.

use std::error::Error as _;
use std::time::Duration;

use grpc_resilience::consul::{Check, Registration, RegistrationError};
use testing::{ConsulAgent, ConsulInstance};

use crate::common::log::Ear;
use crate::common::*;
use crate::consul::pass;

const TOKEN: &str = "s3cret-token";

fn registration(agent: &ConsulAgent) -> Registration {
    Registration::new("orders", "127.0.0.1:50051".parse().unwrap())
        .agent(agent.address().to_string())
        .check(Check::ttl(Duration::from_secs(1)))
}

fn reports(agent: &ConsulAgent) -> usize {
    let requests = agent.requests();
    let reports = requests
        .iter()
        .filter(|(it, _)| it.contains("/check/update/"));
    reports.count()
}

async fn sleep_real(millis: u32) {
    tokio::time::sleep(millis * MS).await;
}

#[tokio::test]
async fn a_server_is_there_from_its_registration_to_its_deregistration() {
    let agent = ConsulAgent::start().await.unwrap();
    let registered = registration(&agent).tag("blue").register().await.unwrap();
    let expected = ConsulInstance {
        id: "orders-127.0.0.1:50051".into(),
        service: "orders".into(),
        tags: vec!["blue".into()],
        ..ConsulInstance::new("orders", "127.0.0.1:50051".parse().unwrap())
    };
    assert_eq!(agent.instances(), [expected]);
    // For longer than the TTL, which is three reports long.
    until(|| reports(&agent) >= 5).await;
    until(|| agent.instances()[0].is_passing).await;
    registered.deregister().await.unwrap();
    assert_eq!(agent.instances(), []);
    let requests = agent.requests().len();
    sleep_real(700).await;
    assert_eq!(agent.requests().len(), requests, "the task is over");
}

#[tokio::test]
async fn each_report_for_a_long_ttl_the_first_one_too_comes_after_5_s() {
    let agent = ConsulAgent::start().await.unwrap();
    let minute = Check::ttl(Duration::from_secs(60));
    let registered = registration(&agent).check(minute).register().await;
    let begin = tokio::time::Instant::now();
    for (report, due) in [(1, 5.0), (2, 10.0)] {
        while reports(&agent) < report {
            pass(100).await;
            tokio::time::sleep(MS).await;
        }
        let after = begin.elapsed().as_secs_f64();
        assert!((due - 0.5..due + 4.0).contains(&after), "{report}: {after}");
    }
    registered.unwrap().deregister().await.unwrap();
}

#[tokio::test]
async fn a_server_that_the_agent_has_forgotten_is_registered_again() {
    for check in [
        Check::ttl(Duration::from_secs(1)),
        Check::grpc(Duration::from_secs(1)),
    ] {
        let ear = Ear::new();
        let agent = ConsulAgent::start().await.unwrap();
        let registered = registration(&agent).check(check).register().await.unwrap();
        agent.stop().await;
        until(|| ear.count("WARN") == 1).await;
        agent.forget();
        agent.restart().await.unwrap();
        until(|| agent.instances().len() == 1).await;
        until(|| ear.count("it is registered again") == 1).await;
        assert_eq!(ear.count("WARN"), 1, "{}", ear.text());
        registered.deregister().await.unwrap();
    }
}

#[tokio::test]
async fn an_agent_that_comes_back_and_knows_the_server_is_told_of_once() {
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    let registered = registration(&agent).register().await.unwrap();
    agent.stop().await;
    until(|| ear.count("WARN") == 1).await;
    agent.restart().await.unwrap();
    until(|| ear.count("knows the server") == 1).await;
    let registrations = agent.requests();
    let registrations = registrations
        .iter()
        .filter(|(it, _)| it.contains("/register?"));
    assert_eq!(registrations.count(), 1);
    registered.deregister().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_is_deregistered() {
    let agent = ConsulAgent::start().await.unwrap();
    let registered = registration(&agent).register().await.unwrap();
    assert_eq!(agent.instances().len(), 1);
    drop(registered);
    until(|| agent.instances().is_empty()).await;
}

#[tokio::test]
async fn deregistering_what_the_agent_forgot_is_a_success() {
    let agent = ConsulAgent::start().await.unwrap();
    let registered = registration(&agent).register().await.unwrap();
    agent.forget();
    registered.deregister().await.unwrap();
    assert_eq!(agent.instances(), []);
}

#[tokio::test]
async fn deregistering_waits_a_little_for_an_agent_that_is_started_again() {
    let agent = ConsulAgent::start().await.unwrap();
    let registered = registration(&agent).register().await.unwrap();
    agent.stop().await;
    let leaving = tokio::spawn(registered.deregister());
    sleep_real(300).await;
    agent.restart().await.unwrap();
    leaving.await.unwrap().unwrap();
    assert_eq!(agent.instances(), []);
}

#[tokio::test]
async fn without_an_agent_nothing_is_registered_and_the_error_says_so() {
    let agent = ConsulAgent::start().await.unwrap();
    let registered = registration(&agent).register().await.unwrap();
    agent.stop().await;
    let start = tokio::time::Instant::now();
    let error = registered.deregister().await.unwrap_err();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    let text = "to deregister the server failed: the agent can't be reached";
    assert_eq!(error.to_string(), text);
    assert!(error.source().is_some());
    let error = registration(&agent).register().await.unwrap_err();
    assert!(
        matches!(error, RegistrationError::Agent { .. }),
        "{error:?}"
    );
}

// CONTRACT N7
#[tokio::test]
async fn the_token_is_in_the_header_of_each_request_and_nowhere_else() {
    let ear = Ear::new();
    let agent = ConsulAgent::start().await.unwrap();
    let settings = registration(&agent).token(TOKEN);
    let mut texts = vec![format!("{settings:?}")];
    let registered = settings.clone().register().await.unwrap();
    texts.push(format!("{registered:?}"));
    until(|| agent.requests().len() > 1).await;
    registered.deregister().await.unwrap();
    let registered = settings.clone().register().await.unwrap();
    agent.stop().await;
    until(|| ear.count("does not do what the registration") == 1).await;
    let left = registered.deregister().await.unwrap_err();
    assert_eq!(ear.count("does not do what the registration"), 2);
    let refused = settings.register().await.unwrap_err();
    for error in [left, refused] {
        texts.push(format!("{error:?} {error} {:?}", error.source()));
    }
    // All levels of this crate's events.
    texts.push(ear.text());
    for text in texts {
        assert!(!text.contains(TOKEN), "{text}");
    }
    for (path, token) in agent.requests() {
        assert_eq!(token.as_deref(), Some(TOKEN), "{path}");
        assert!(!path.contains(TOKEN), "{path}");
    }
}

#[test]
fn a_registration_whose_runtime_is_gone_says_so() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    let (agents, servers) = (runtime().unwrap(), runtime().unwrap());
    let agent = agents.block_on(ConsulAgent::start()).unwrap();
    let registered = servers.block_on(registration(&agent).register()).unwrap();
    servers.shutdown_background();
    let error = agents.block_on(registered.deregister()).unwrap_err();
    assert!(matches!(error, RegistrationError::Stopped), "{error:?}");
    // Its check finds the server out.
    assert!(agent.instances()[0].is_passing);
    agents.block_on(until(|| !agent.instances()[0].is_passing));
}
