//! Each service shows the one that it wraps, and gives it back.

use grpc_resilience::adaptive_throttle::AdaptiveThrottleLayer;
use grpc_resilience::attempt_timeout::AttemptTimeoutLayer;
use grpc_resilience::rate_limit::{Quota, ServerRateLimitLayer};
use grpc_resilience::{
    BudgetLayer, DeadlineLayer, IdempotencyLayer, Resilience, RetryLayer, ServerDeadlineLayer,
    TokenBucket, WaitForReadyLayer,
};
use tower::Layer as _;

#[derive(Clone, Debug, PartialEq)]
struct Inner(&'static str);

macro_rules! shows_and_gives_back {
    ($($wrap:expr),+ $(,)?) => {$(
        let service = $wrap(Inner("channel"));
        assert_eq!(service.get_ref(), &Inner("channel"), stringify!($wrap));
        assert_eq!(service.into_inner(), Inner("channel"), stringify!($wrap));
    )+};
}

#[test]
fn a_service_shows_its_inner_one_and_gives_it_back() {
    let quota = Quota::per_second(1).unwrap();
    shows_and_gives_back!(
        |inner| AdaptiveThrottleLayer::new().layer(inner),
        |inner| AttemptTimeoutLayer::default().layer(inner),
        |inner| BudgetLayer::new(TokenBucket::default()).layer(inner),
        |inner| DeadlineLayer::new().layer(inner),
        |inner| IdempotencyLayer::new().layer(inner),
        |inner| RetryLayer::default().layer(inner),
        |inner| WaitForReadyLayer::new().layer(inner),
        |inner| Resilience::new().wrap(inner),
        |inner| ServerDeadlineLayer::new().layer(inner),
        |inner| ServerRateLimitLayer::new(quota).layer(inner),
    );
}
