//! When the balancer's task runs, and what it publishes then.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::tests::shared_after;
use super::*;
use crate::channel::address::Address;

type Answer = Result<Resolution, ResolveError>;

/// What a test lets the resolver say, and how often it was polled.
#[derive(Clone, Default)]
struct Told {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    waker: Arc<Mutex<Option<std::task::Waker>>>,
    polls: Arc<AtomicUsize>,
    /// It answers once more whenever it is polled.
    is_busy: bool,
    /// It panics when it is asked again.
    panics: bool,
}

impl Told {
    fn say(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }
}

impl Resolver for Told {
    fn poll_resolution(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let polls = self.polls.fetch_add(1, Ordering::Relaxed);
        assert!(polls < 1_000, "it is asked without end");
        if self.is_busy {
            return Poll::Ready(Some(Ok(hosts(polls % 2..2))));
        }
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        match self.answers.lock().unwrap().pop_front() {
            Some(answer) => Poll::Ready(Some(answer)),
            None => Poll::Pending,
        }
    }

    fn resolve_again(&mut self) {
        assert!(!self.panics, "as users' code may");
    }
}

fn hosts(numbers: std::ops::Range<usize>) -> Resolution {
    let named = |number| Address::Unix(format!("host-{number}").into());
    numbers.map(named).collect()
}

/// A balancer, its board, and how often its task ran.
fn balancer(told: &Told, shared: Arc<Shared>) -> (Balancer, Arc<Board>) {
    let board = Arc::new(Board::new());
    let resolver = Box::new(told.clone());
    let balancer = Balancer::new(
        shared,
        Arc::clone(&board),
        "names".into(),
        resolver,
        Connect::ToAll,
    );
    (balancer, board)
}

/// Runs a balancer beside the test; how often it ran.
fn run(balancer: Balancer) -> Arc<AtomicUsize> {
    let runs = Arc::<AtomicUsize>::default();
    let mut balancer = Box::pin(balancer);
    let counted = Arc::clone(&runs);
    tokio::spawn(poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        balancer.as_mut().poll(cx)
    }));
    runs
}

const S: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_resolver_that_always_answers_leaves_the_runtime_to_others() {
    let told = Told {
        is_busy: true,
        ..Told::default()
    };
    let (balancer, _board) = balancer(&told, shared_after(|_| 0));
    let mut balancer = Box::pin(balancer);
    let polled = poll_fn(|cx| Poll::Ready(balancer.as_mut().poll(cx)));
    assert!(polled.await.is_pending());
    assert_eq!(told.polls(), ROUNDS);
}

// CONTRACT N9
#[tokio::test(start_paused = true)]
async fn an_equal_answer_publishes_nothing() {
    let told = Told::default();
    let (balancer, board) = balancer(&told, shared_after(|_| 0));
    run(balancer);
    told.say(Ok(hosts(0..3)));
    sleep(S).await;
    let published = board.published().clone();
    assert_eq!(published.ready.endpoints.len(), 3);
    told.say(Ok(hosts(0..3)));
    sleep(S).await;
    assert!(Arc::ptr_eq(&published, &board.published()));
    told.say(Ok(hosts(0..2)));
    sleep(S).await;
    assert!(!Arc::ptr_eq(&published, &board.published()));
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_panicked_when_it_was_asked_again_is_not_used_further() {
    let told = Told {
        panics: true,
        ..Told::default()
    };
    let shared = shared_after(|_| 0);
    let (balancer, board) = balancer(&told, Arc::clone(&shared));
    run(balancer);
    told.say(Ok(hosts(0..1)));
    sleep(S).await;
    shared.changes.add(0, true);
    sleep(S).await;
    let polls = told.polls();
    told.say(Ok(hosts(0..2)));
    sleep(S).await;
    assert_eq!(told.polls(), polls);
    assert_eq!(board.published().ready.endpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_list_of_a_large_set_is_published_when_its_pause_is_over() {
    let told = Told::default();
    // 100 endpoints become ready, and one more in the same moment, but after their list.
    let late = |address: &Address| {
        let is_last = address.to_string().ends_with("-100");
        if is_last { 1_000 } else { 0 }
    };
    let (balancer, board) = balancer(&told, shared_after(late));
    run(balancer);
    told.say(Ok(hosts(0..101)));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(board.published().ready.endpoints.len(), 101);
}

// A channel at rest holds no timer.
#[tokio::test(start_paused = true)]
async fn a_lapse_that_does_not_come_to_pass_wakes_no_task() {
    let told = Told::default();
    let (balancer, _board) = balancer(&told, shared_after(|_| 0));
    let runs = run(balancer);
    told.say(Ok(hosts(0..1)));
    sleep(S).await;
    told.say(Err(ResolveError::no_address("names", "NXDOMAIN")));
    sleep(S).await;
    told.say(Ok(hosts(0..1)));
    sleep(S).await;
    let before = runs.load(Ordering::Relaxed);
    sleep(600 * S).await;
    assert_eq!(runs.load(Ordering::Relaxed), before);
}

// Issue 22: publishing is not quadratic at 1,000 endpoints
#[tokio::test(start_paused = true)]
async fn endpoints_that_become_ready_one_by_one_share_a_list_once_there_are_many() {
    let told = Told::default();
    // All in one moment, and each after the balancer has seen the one before it.
    let in_turn = |address: &Address| {
        let name = address.to_string();
        name.trim_start_matches("unix:host-")
            .parse::<usize>()
            .unwrap()
            * 10
    };
    let (balancer, board) = balancer(&told, shared_after(in_turn));
    run(balancer);
    told.say(Ok(hosts(0..300)));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(board.published().ready.endpoints.len(), 300);
    // A list for each of the first 64, and few more.
    let lists = board.lists();
    assert!((60..=80).contains(&lists), "{lists} lists");
}
