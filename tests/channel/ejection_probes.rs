//! How an ejected endpoint comes back (CONTRACT O3).

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::pick::{LeastLoaded, RoundRobin};
use grpc_resilience::channel::{Channel, Ejection};
use grpc_resilience::classify::Endpoint;
use tokio::time::Instant;

use crate::common::log::Ear;
use crate::common::manner::Manner;
use crate::common::*;
use crate::ejection::{
    Cluster, INTERNAL, S, UNAVAILABLE, called_for, cluster, declared, ejected, endpoint, picking,
};

fn three() -> [Manner; 3] {
    [5; 3].map(Manner::taking)
}

/// The first of three is ejected.
async fn one_is_out(manners: &[Manner; 3]) -> Cluster {
    let cluster = cluster(manners, picking(RoundRobin::new())).await;
    manners[0].fail(100, UNAVAILABLE);
    called_for(&cluster.channel, 1, 300 * MS, declared).await;
    assert_eq!(ejected(&cluster.channel), [0]);
    cluster
}

async fn until_probed(channel: &Channel) {
    until(|| {
        endpoint(channel, 0)
            .ejected_for
            .is_none_or(|it| it.is_zero())
    })
    .await;
    others_have_run().await;
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn a_server_that_is_well_again_is_back_after_one_call_and_within_two_seconds_has_its_share() {
    let manners = three();
    let cluster = cluster(&manners, picking(LeastLoaded::new())).await;
    let channel = &cluster.channel;
    let heard = Ear::new();
    manners[0].fail(100, UNAVAILABLE);
    called_for(channel, 8, 500 * MS, declared).await;
    assert_eq!(ejected(channel), [0]);
    let text = heard.text();
    for number in [
        "reason=\"consecutive_failures\"",
        "times=1",
        "ejected=1 most=1",
    ] {
        assert!(text.contains(number), "{text}");
    }
    manners[0].fail(0, UNAVAILABLE);
    let share = async |time| {
        let before: Vec<_> = manners.iter().map(Manner::calls).collect();
        called_for(channel, 8, time, declared).await;
        let calls = manners
            .iter()
            .zip(before)
            .map(|(it, before)| it.calls() - before);
        let calls: Vec<_> = calls.collect();
        calls[0] * 100 / calls.iter().sum::<usize>()
    };
    while !ejected(channel).is_empty() {
        called_for(channel, 8, 10 * MS, declared).await;
    }
    assert_eq!(heard.count("is back"), 1, "{}", heard.text());
    let early = share(200 * MS).await;
    share(2 * S).await;
    let late = share(S).await;
    assert!(
        early < 15 && (28..=38).contains(&late),
        "{early} % and {late} %"
    );
    let back = endpoint(channel, 0);
    assert_eq!((back.times_ejected, back.failure_rate), (0, Some(0.0)));
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn an_undeclared_call_probes_only_if_no_declared_one_came_for_ten_seconds() {
    let manners = three();
    let Cluster { channel, hosts, .. } = one_is_out(&manners).await;
    until_probed(&channel).await;
    let (start, before) = (Instant::now(), manners[0].calls());
    while manners[0].calls() == before {
        called_for(&channel, 4, 10 * MS, request).await;
    }
    let waited = start.elapsed();
    assert!(waited >= 10 * S && waited < 10 * S + 50 * MS, "{waited:?}");
    assert_eq!(manners[0].calls(), before + 1, "one call decides");
    assert_eq!(endpoint(&channel, 0).times_ejected, 2);
    drop(hosts);
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn a_call_that_says_nothing_of_the_server_leaves_the_decision_to_the_next() {
    for code in [8, 1] {
        let manners = three();
        let Cluster { channel, hosts, .. } = one_is_out(&manners).await;
        manners[0].fail(100, code);
        until_probed(&channel).await;
        let before = manners[0].calls();
        called_for(&channel, 1, 100 * MS, declared).await;
        assert!(manners[0].calls() > before + 3, "code {code}");
        assert_eq!(ejected(&channel), [0]);
        // An answer of the application shows that the server works.
        manners[0].fail(100, 5);
        called_for(&channel, 1, 50 * MS, declared).await;
        assert_eq!(ejected(&channel), [0; 0]);
        drop(hosts);
    }
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_with_internal_fails() {
    let manners = three();
    let Cluster { channel, hosts, .. } = one_is_out(&manners).await;
    manners[0].fail(100, INTERNAL);
    until_probed(&channel).await;
    called_for(&channel, 1, 50 * MS, declared).await;
    let out = endpoint(&channel, 0);
    assert_eq!(out.times_ejected, 2);
    let left = out.ejected_for.unwrap();
    assert!(left > 1_500 * MS && left <= 2_400 * MS, "{left:?}");
    let shown = channel.snapshot().to_string();
    assert!(
        shown.contains("ejected") && shown.contains("2 times"),
        "{shown}"
    );
    drop(hosts);
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_holds_up_no_call_and_another_one_follows_after_ten_seconds() {
    let manners = three();
    let Cluster { channel, hosts, .. } = one_is_out(&manners).await;
    manners[0].take(3_600_000);
    manners[0].fail(0, UNAVAILABLE);
    until_probed(&channel).await;
    let before = manners[0].calls();
    let hangs = {
        let channel = channel.clone();
        tokio::spawn(async move { send(&channel, declared()).await })
    };
    until(|| manners[0].calls() == before + 1).await;
    called_for(&channel, 4, 9 * S, declared).await;
    assert_eq!(manners[0].calls(), before + 1);
    manners[0].take(5);
    called_for(&channel, 4, 2 * S, declared).await;
    assert_eq!(ejected(&channel), [0; 0]);
    hangs.abort();
    // The end of the first one is of no interest any more.
    let _ = hangs.await;
    others_have_run().await;
    assert_eq!(ejected(&channel), [0; 0]);
    drop(hosts);
}

// CONTRACT O3
#[tokio::test(start_paused = true)]
async fn a_stream_has_probed_once_its_first_message_is_there() {
    let manners = three();
    let Cluster { channel, hosts, .. } = one_is_out(&manners).await;
    manners[0].fail(0, UNAVAILABLE);
    until_probed(&channel).await;
    let (sender, body) = streaming();
    let mut stream = bidi(body);
    stream.call_options().idempotent();
    sender.send(message(b"")).unwrap();
    let answer = send(&channel, stream).await;
    assert_eq!(endpoint_of(&answer), "host-0");
    let mut body = answer.unwrap().into_body();
    http_body_util::BodyExt::frame(&mut body)
        .await
        .unwrap()
        .unwrap();
    until(|| ejected(&channel).is_empty()).await;
    drop((sender, body, hosts));
}

// CONTRACT O3, L2: calls that name the endpoint go there, and one that avoids it does not probe
#[tokio::test(start_paused = true)]
async fn a_call_by_name_goes_to_an_ejected_server_and_decides_nothing() {
    let manners = three();
    let Cluster { channel, hosts, .. } = one_is_out(&manners).await;
    manners[0].fail(0, UNAVAILABLE);
    let named = || {
        let mut request = declared();
        request.call_options().endpoint("unix:host-0");
        request
    };
    assert_eq!(called_with(&channel, named()).await, "host-0");
    until_probed(&channel).await;
    assert_eq!(called_with(&channel, named()).await, "host-0");
    let mut avoiding = declared();
    avoiding.call_options().avoid("unix:host-0");
    assert_ne!(called_with(&channel, avoiding).await, "host-0");
    others_have_run().await;
    assert_eq!(ejected(&channel), [0]);
    assert_eq!(called_with(&channel, declared()).await, "host-0");
    others_have_run().await;
    assert_eq!(ejected(&channel), [0; 0]);
    drop(hosts);
}

// CONTRACT O3, N9
#[tokio::test(start_paused = true)]
async fn a_server_whose_connection_is_away_is_probed_once_it_has_one() {
    let manners = three();
    let mut cluster = one_is_out(&manners).await;
    let channel = &cluster.channel;
    cluster.net.refuse("host-0");
    drop(cluster.hosts.remove(0));
    until_ready(channel, 2).await;
    until_probed(channel).await;
    called_for(channel, 2, S, declared).await;
    assert_eq!(ejected(channel), [0]);
    manners[0].fail(0, UNAVAILABLE);
    cluster
        .hosts
        .push(cluster.net.serve_as("host-0", &manners[0]));
    until_ready(channel, 3).await;
    assert_eq!(called_with(channel, declared()).await, "host-0");
    others_have_run().await;
    assert_eq!(ejected(channel), [0; 0]);
}

// CONTRACT O3: a probe that fails is repeated elsewhere
#[tokio::test(start_paused = true)]
async fn under_a_retry_layer_no_declared_call_fails_by_a_probe() {
    let manners = three();
    let ejection = Ejection::new().base_ejection_time(100 * MS);
    let cluster = cluster(&manners, |builder| builder.ejection(ejection)).await;
    manners[0].fail(100, UNAVAILABLE);
    let stack = grpc_resilience::Resilience::new().default_timeout(5 * S);
    let service = stack.wrap(cluster.channel.clone());
    for _ in 0..2_000 {
        let answer = tower::ServiceExt::oneshot(service.clone(), declared())
            .await
            .unwrap();
        let name = answer
            .extensions()
            .get::<Endpoint>()
            .unwrap()
            .name()
            .to_owned();
        let body = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_ne!(name, "unix:host-0");
    }
    assert!(endpoint(&cluster.channel, 0).times_ejected > 3);
}
