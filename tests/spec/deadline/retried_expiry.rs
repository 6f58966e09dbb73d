//! Which expiry is tried again (CONTRACT D8).

use grpc_resilience::GiveUp;
use grpc_resilience::deadline::DeadlineLayer;
use grpc_resilience::retry::{RetryLayer, RetryPolicy};
use testing::{Answer, Server, method};
use tokio::time::Instant;
use tonic::Code;
use tower::ServiceBuilder;

use crate::support::{SECOND, client, every, hello, ms};

// CONTRACT D8, R14
#[transports::test(start_paused = true)]
async fn a_server_s_deadline_exceeded_that_is_opted_in_is_retried_only_while_time_is_left() {
    for (at, attempts) in [(300, 2), (850, 1), (996, 1)] {
        let server = Server::in_memory();
        let late = Answer::status(Code::DeadlineExceeded, "a backend was slow");
        server.script().on(method::UNARY, [late.after(ms(at))]);
        let policy = RetryPolicy::new()
            .assume_idempotent()
            .retry_on(Code::DeadlineExceeded)
            .backoff(every(ms(200)));
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new().default_timeout(SECOND))
            .layer(RetryLayer::new(policy))
            .service(server.channel());
        let start = Instant::now();
        let answer = client(stack).unary(hello()).await;
        assert_eq!(server.count(), attempts, "at {at} ms");
        let Err(status) = answer else {
            assert_eq!(start.elapsed(), ms(at + 200));
            continue;
        };
        assert_eq!(start.elapsed(), ms(at), "it fails at once");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(GiveUp::find(&status), Some(GiveUp::Deadline));
    }
}
