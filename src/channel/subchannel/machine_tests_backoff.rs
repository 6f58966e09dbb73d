use super::*;

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_late_response_does_not_bring_the_dial_of_an_outage_forward() {
    let mut run = Run::new(4);
    run.demand();
    run.connect();
    run.lose(false);
    run.until(100).await;
    run.dial();
    let planned = run.fail();
    assert_eq!(run.state(), TransientFailure);
    assert_eq!(run.machine.served_late(Instant::now()), None);
    assert_eq!(run.ms(run.machine.next_dial()), planned);
}

/// Notes the previous delay and the age of the outage that it is asked with.
#[derive(Debug, Default)]
struct Notes(crate::kernel::sync::Mutex<Vec<(u128, u128)>>);

impl Backoff for Notes {
    fn delay(&self, _retry: &Retry) -> Duration {
        200 * MS
    }

    fn dial_delay(&self, retry: &Retry, age: Duration) -> Duration {
        let note = (retry.previous.as_millis(), age.as_millis());
        self.0.lock().push(note);
        200 * MS
    }
}

// CONTRACT C3, W5
#[tokio::test(start_paused = true)]
async fn the_backoff_knows_the_previous_delay_and_the_age_of_the_outage() {
    let notes = Arc::<Notes>::default();
    let mut machine = Machine::new(Arc::clone(&notes) as _, 4);
    machine.demand(Instant::now());
    for _ in 0..3 {
        assert!(machine.dialling(Instant::now()));
        machine.failed(Instant::now(), UNIT);
        advance(200 * MS).await;
    }
    assert_eq!(*notes.0.lock(), [(0, 0), (200, 200), (200, 400)]);
}

// CONTRACT C8, W9
#[tokio::test(start_paused = true)]
async fn a_planned_dial_of_one_more_replaces_a_lost_one_at_once() {
    let mut run = Run::new(2);
    run.demand();
    run.connect();
    run.until(7).await;
    assert_eq!(run.more(), Some(100), "100 ms after the last");
    assert_eq!(run.lose(true), Some(7));
    run.connect();
    run.until(20).await;
    assert_eq!(run.more(), Some(107));
    assert_eq!(run.lose(false), Some(107), "it is due no sooner");
}
