use std::future::{pending, poll_fn, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, timeout, timeout_at};

use super::*;
use crate::channel::resolve::latest::Latest;

type Result = std::result::Result<Found, ResolveError>;

/// Answers of which each is given, is awaited, or never comes.
enum Given {
    Now(Result),
    Later(oneshot::Receiver<Result>),
    Never,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<std::collections::VecDeque<Given>>>,
    /// When each question came, in milliseconds.
    asked: Arc<Mutex<Vec<u128>>>,
    start: Option<Instant>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Given>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            start: Some(Instant::now()),
            ..Self::default()
        }
    }

    fn asked(&self) -> Vec<u128> {
        self.asked.lock().unwrap().clone()
    }
}

impl Lookup for Script {
    type Answer = Result;

    fn name(&self) -> &'static str {
        "orders.test"
    }

    fn ask(&self) -> Asked<Result> {
        let at = self.start.unwrap().elapsed().as_millis();
        self.asked.lock().unwrap().push(at);
        match self.answers.lock().unwrap().pop_front() {
            Some(Given::Now(answer)) => Box::pin(ready(answer)),
            Some(Given::Later(answer)) => Box::pin(async { answer.await.unwrap() }),
            Some(Given::Never) | None => Box::pin(pending()),
        }
    }

    fn read(&mut self, answer: Result) -> Result {
        answer
    }
}

fn found(ttl: u64) -> Found {
    let address: SocketAddr = "10.0.0.1:1".parse().unwrap();
    Found {
        addresses: vec![address.into()],
        ttl: Duration::from_secs(ttl),
    }
}

fn is_found(ttl: u64) -> Given {
    Given::Now(Ok(found(ttl)))
}

fn fails() -> Given {
    Given::Now(Err(ResolveError::new("orders.test", "SERVFAIL")))
}

fn repeat(script: &Script) -> Repeat<Script> {
    Repeat::new(script.clone(), super::super::schedule::MIN_TTL)
}

async fn next(repeat: &mut Repeat<Script>) -> std::result::Result<Resolution, ResolveError> {
    poll_fn(|cx| repeat.poll_resolution(cx)).await.unwrap()
}

fn gaps(asked: &[u128]) -> Vec<u128> {
    asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

// CONTRACT N6
#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_when_its_ttl_is_over() {
    let answers = [60, 0, 3_600, 30].map(is_found);
    let script = Script::new(answers);
    let mut repeat = repeat(&script);
    for _ in 0..4 {
        assert_eq!(next(&mut repeat).await.unwrap().addresses().len(), 1);
    }
    let gaps = gaps(&script.asked());
    for (gap, ttl) in gaps.into_iter().zip([60_000, 5_000, 300_000]) {
        // Minus up to a tenth; tokio's clock has milliseconds.
        assert!(gap >= ttl * 9 / 10 && gap <= ttl + 1, "{gap} of {ttl}");
    }
}

// CONTRACT N6
#[tokio::test(start_paused = true)]
async fn a_failing_name_is_looked_up_with_backoff_and_by_ttl_again_after_that() {
    let mut answers: Vec<_> = (0..14).map(|_| fails()).collect();
    answers.extend([is_found(60), fails(), is_found(60)]);
    let script = Script::new(answers);
    let mut repeat = repeat(&script);
    for number in 0..17 {
        assert_eq!(
            next(&mut repeat).await.is_ok(),
            number == 14 || number == 16
        );
    }
    let mut expected: Vec<_> = (0..14)
        .map(|number| (1_000.0 * 1.6_f64.powi(number)).min(120_000.0))
        .collect();
    expected.extend([60_000.0, 1_000.0]);
    for (gap, middle) in gaps(&script.asked()).into_iter().zip(expected) {
        let gap = f64::from(u32::try_from(gap).unwrap());
        assert!(
            gap >= middle * 0.8 - 1.0 && gap <= middle * 1.2 + 1.0,
            "{gap} of {middle}"
        );
    }
}

// CONTRACT N5
#[tokio::test(start_paused = true)]
async fn it_asks_at_once_when_addresses_may_be_stale() {
    let script = Script::new([is_found(60), is_found(60)]);
    let mut repeat = repeat(&script);
    next(&mut repeat).await.unwrap();
    let task = tokio::spawn(async move {
        let mut is_first = true;
        poll_fn(|cx| {
            let poll = repeat.poll_resolution(cx);
            if std::mem::take(&mut is_first) {
                assert!(poll.is_pending());
                // It wakes the task that polled it.
                repeat.resolve_again();
                return Poll::Pending;
            }
            poll
        })
        .await
    });
    let answer = timeout(Duration::from_millis(10), task).await;
    assert!(answer.unwrap().unwrap().unwrap().is_ok());
    assert_eq!(script.asked(), [0, 0]);
}

// CONTRACT N5
#[tokio::test(start_paused = true)]
async fn a_wish_during_a_question_asks_once_more_after_it() {
    let (sender, receiver) = oneshot::channel();
    let script = Script::new([Given::Later(receiver), is_found(60)]);
    let mut repeat = repeat(&script);
    assert!(
        timeout(Duration::from_millis(100), next(&mut repeat))
            .await
            .is_err()
    );
    // The answer may be of before the loss.
    repeat.resolve_again();
    sender.send(Ok(found(60))).unwrap_or_default();
    next(&mut repeat).await.unwrap();
    next(&mut repeat).await.unwrap();
    assert_eq!(script.asked(), [0, 100]);
}

// CONTRACT N6
#[tokio::test(start_paused = true)]
async fn a_wish_does_not_shorten_the_backoff_of_a_failing_name() {
    let script = Script::new([fails(), is_found(60)]);
    let mut repeat = repeat(&script);
    next(&mut repeat).await.unwrap_err();
    repeat.resolve_again();
    next(&mut repeat).await.unwrap();
    // Nor is it kept for after the next answer.
    assert!(
        timeout(Duration::from_secs(50), next(&mut repeat))
            .await
            .is_err()
    );
    assert_eq!(script.asked().len(), 2);
    assert!(script.asked()[1] >= 800);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_an_error_first_and_counts_when_it_comes() {
    let (sender, receiver) = oneshot::channel();
    let script = Script::new([Given::Later(receiver), Given::Never]);
    let mut repeat = repeat(&script);
    let start = Instant::now();
    let error = next(&mut repeat).await.unwrap_err();
    assert!(!error.is_authoritative());
    assert_eq!(
        error.to_string(),
        "orders.test was not resolved: no answer within 10s"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    // It says so once, and does not ask a second time meanwhile.
    assert!(
        timeout(Duration::from_secs(600), next(&mut repeat))
            .await
            .is_err()
    );
    assert_eq!(script.asked(), [0]);
    sender.send(Ok(found(60))).unwrap_or_default();
    next(&mut repeat).await.unwrap();
    assert!(
        timeout(Duration::from_secs(61), next(&mut repeat))
            .await
            .is_err()
    );
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_drops_the_question() {
    let (mut sender, receiver) = oneshot::channel();
    let script = Script::new([Given::Later(receiver)]);
    let mut repeat = repeat(&script);
    assert!(
        timeout(Duration::from_millis(1), next(&mut repeat))
            .await
            .is_err()
    );
    yield_now().await;
    advance(Duration::from_millis(1)).await;
    assert!(!sender.is_closed());
    drop(repeat);
    timeout(Duration::from_millis(1), sender.closed())
        .await
        .unwrap();
}

/// What the channel makes of a name's answers, until a time.
async fn follow(repeat: &mut Repeat<Script>, latest: &mut Latest, until: Instant) {
    loop {
        let lapse = latest.lapses_at().unwrap_or(until).min(until);
        match timeout_at(lapse, next(repeat)).await {
            Ok(answer) => latest.answered(Instant::now(), answer),
            Err(_) if lapse == until => return,
            Err(_) => latest.pass(Instant::now()),
        };
    }
}

// CONTRACT N2, N6
#[tokio::test(start_paused = true)]
async fn a_dns_server_that_is_down_for_ten_minutes_costs_no_address() {
    let mut answers = vec![is_found(30)];
    answers.extend((0..100).map(|_| fails()));
    let script = Script::new(answers);
    let mut repeat = repeat(&script);
    let mut latest = Latest::default();
    let start = Instant::now();
    follow(&mut repeat, &mut latest, start + Duration::from_secs(600)).await;
    assert_eq!(latest.set().unwrap().addresses().len(), 1);
    assert!(latest.error().is_some());
    // 1 + 1.6 + .. + 110 + 120 + 120 s: not a storm.
    assert!(
        (10..=18).contains(&script.asked().len()),
        "{:?}",
        script.asked()
    );
}

// CONTRACT N2, N6
#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_for_50_s_costs_no_address() {
    let gone = || Given::Now(Err(ResolveError::no_address("orders.test", "NXDOMAIN")));
    // 1 + 1.6 + 2.56 + 11 x 4.1 s are 50 s.
    let mut answers = vec![is_found(30)];
    answers.extend((0..14).map(|_| gone()));
    answers.push(is_found(3_600));
    let script = Script::new(answers);
    let mut repeat = repeat(&script);
    let mut latest = Latest::default();
    let until = Instant::now() + Duration::from_secs(200);
    follow(&mut repeat, &mut latest, until).await;
    assert_eq!(
        (latest.set().is_some(), latest.error().is_some()),
        (true, false)
    );

    // Without the good answer, it lapses.
    let script = Script::new((0..30).map(|number| if number == 0 { is_found(30) } else { gone() }));
    let mut repeat = self::repeat(&script);
    let mut latest = Latest::default();
    let until = Instant::now() + Duration::from_secs(80);
    follow(&mut repeat, &mut latest, until).await;
    assert!(latest.set().is_some());
    follow(&mut repeat, &mut latest, until + Duration::from_secs(20)).await;
    assert!(latest.set().is_none());
}
