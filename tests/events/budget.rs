//! A budget that is used up: one line, and one once it has filled again.

use grpc_resilience::{Resilience, RetryPolicy, TokenBucket, budget::BudgetLayer};
use test_protos::EchoClient;
use testing::{Answer, SECOND, Server, declared, every, method, ms};
use tokio::time::sleep;
use tonic::Code;
use tracing::Level;

use crate::support::Ear;

/// The lines of budgets.
fn lines(ear: &Ear) -> Vec<(Level, String)> {
    let heard = ear.take();
    let of_budgets = heard.iter().filter(|it| it.text().contains("budget"));
    of_budgets
        .map(|it| (it.level, it.text().to_owned()))
        .collect()
}

// CONTRACT V1
#[transports::test(start_paused = true)]
async fn a_budget_that_is_used_up_is_one_line_and_one_when_it_has_filled_again() {
    let (ear, server) = (Ear::new(), Server::in_memory());
    let policy = RetryPolicy::new().backoff(every(ms(1)));
    let stack = Resilience::new()
        .retry(policy.max_attempts(2).unwrap())
        .budget_layer(BudgetLayer::new(TokenBucket::new(4, 1.0).unwrap()))
        .wrap(server.channel());
    let mut client = EchoClient::new(stack);
    client.unary(declared()).await.unwrap();
    assert_eq!(lines(&ear), [], "a call that succeeds says nothing");
    let down = || Answer::status(Code::Unavailable, "down");
    for _ in 0..2 {
        server.script().always(method::UNARY, down());
        for _ in 0..10 {
            client.unary(declared()).await.unwrap_err();
        }
        let [(level, text)] = &lines(&ear)[..] else {
            panic!("one line");
        };
        assert_eq!(*level, Level::INFO);
        assert!(text.contains("is used up"), "{text}");
        // Around its limit it grants and refuses in turn, which is no news.
        server.script().clear();
        for _ in 0..4 {
            client.unary(declared()).await.unwrap();
        }
        let before = server.count();
        server.script().on(method::UNARY, [down(), down(), down()]);
        client.unary(declared()).await.unwrap_err();
        assert_eq!(server.count() - before, 2, "granted");
        client.unary(declared()).await.unwrap_err();
        assert_eq!(server.count() - before, 3, "refused");
        server.script().clear();
        assert_eq!(lines(&ear), []);
        for _ in 0..5 {
            client.unary(declared()).await.unwrap();
        }
        sleep(10 * SECOND).await;
        server.script().on(method::UNARY, [down()]);
        client.unary(declared()).await.unwrap();
        let [(level, text)] = &lines(&ear)[..] else {
            panic!("one line");
        };
        assert_eq!(*level, Level::INFO);
        assert!(text.contains("has filled again"), "{text}");
    }
}
