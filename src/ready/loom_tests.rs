//! The gate under every interleaving: every waiting call is woken, and one call at a time probes.

use std::task::{Wake, Waker};

use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc as LoomArc, Mutex as LoomMutex};
use loom::thread;

use super::*;
use crate::classify::Reason;
use crate::grpc::Code;
use crate::kernel::rng::Rng;
use crate::ready::settings::Settings;

/// Counts its wake-ups.
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn waker() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

fn ask(
    gate: &Arc<GateState>,
    place: &mut Option<Place>,
    waker: &Waker,
    settings: &Settings,
) -> Decision {
    let caller = Caller {
        wait_mode: WaitMode::WaitForReady,
        bytes: 1,
        returns: 0,
        waker: Some(waker),
    };
    gate.turn(caller, place, settings)
}

fn settings() -> Arc<Settings> {
    let mut policy = WaitForReadyPolicy::default();
    policy.release = None;
    Arc::new(Settings {
        policy,
        rng: Rng::seeded(1),
        below_another: crate::events::Once::default(),
    })
}

fn refused() -> Error {
    Error::local(Code::Unavailable, Reason::ConnectFailed, "refused")
}

// CONTRACT W2: a call that waits while the channel becomes ready is woken, or finds it ready
#[test]
fn loom_no_call_sleeps_through_the_opening() {
    loom::model(|| {
        let (gate, settings) = (Arc::new(GateState::default()), settings());
        let (_, own) = waker();
        let Decision::Probe(probe, _) = ask(&gate, &mut None, &own, &settings) else {
            panic!("the first call tests the channel");
        };
        let waiting = {
            let (gate, settings) = (Arc::clone(&gate), Arc::clone(&settings));
            thread::spawn(move || {
                let ((woken, waker), mut place) = (waker(), None);
                match ask(&gate, &mut place, &waker, &settings) {
                    Decision::Go(_) => None,
                    Decision::Wait(..) => Some((woken, place)),
                    other => panic!("{other:?}"),
                }
            })
        };
        gate.read_by(probe.number, false, &settings.policy);
        drop(probe);
        if let Some((woken, place)) = waiting.join().unwrap() {
            assert_eq!(woken.0.load(Ordering::SeqCst), 1);
            drop(place);
        }
        assert_eq!(gate.read(|shared| shared.queue.len()), 0);
    });
}

// CONTRACT W6
#[test]
fn loom_one_call_at_a_time_tests_the_channel() {
    loom::model(|| {
        let (gate, settings) = (Arc::new(GateState::default()), settings());
        let testing = LoomArc::new(LoomMutex::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (gate, settings) = (Arc::clone(&gate), Arc::clone(&settings));
                let testing = LoomArc::clone(&testing);
                thread::spawn(move || {
                    let ((_, waker), mut place) = (waker(), None);
                    if let Decision::Probe(probe, _) = ask(&gate, &mut place, &waker, &settings) {
                        *testing.lock().unwrap() += 1;
                        assert_eq!(*testing.lock().unwrap(), 1);
                        *testing.lock().unwrap() -= 1;
                        drop(probe);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

// CONTRACT W2: a probe that is dropped, or fails, passes its work to a call that is awake
#[test]
fn loom_a_test_that_ends_without_a_result_wakes_the_next_in_line() {
    loom::model(|| {
        let (gate, settings) = (Arc::new(GateState::default()), settings());
        let (_, own) = waker();
        let Decision::Probe(probe, _) = ask(&gate, &mut None, &own, &settings) else {
            panic!("the first call tests the channel");
        };
        let waiting = {
            let (gate, settings) = (Arc::clone(&gate), Arc::clone(&settings));
            thread::spawn(move || {
                let ((woken, waker), mut place) = (waker(), None);
                let turn = ask(&gate, &mut place, &waker, &settings);
                (woken, place, matches!(turn, Decision::Probe(..)))
            })
        };
        drop(probe);
        let (woken, place, tests) = waiting.join().unwrap();
        assert!(tests || woken.0.load(Ordering::SeqCst) > 0);
        drop(place);
    });
}

// CONTRACT W1, W5: a failed probe is visible to all later calls
#[test]
fn loom_a_failed_test_and_a_call_that_gives_up_leave_no_place_behind() {
    loom::model(|| {
        let (gate, settings) = (Arc::new(GateState::default()), settings());
        let (_, own) = waker();
        let mut first = None;
        let Decision::Probe(probe, _) = ask(&gate, &mut first, &own, &settings) else {
            panic!("the first call tests the channel");
        };
        let waiting = {
            let (gate, settings) = (Arc::clone(&gate), Arc::clone(&settings));
            thread::spawn(move || {
                let ((_, waker), mut place) = (waker(), None);
                let turn = ask(&gate, &mut place, &waker, &settings);
                assert!(matches!(turn, Decision::Wait(..)), "{turn:?}");
                drop(place);
            })
        };
        gate.failed(probe.number, Some(probe), 1, &refused(), &settings);
        waiting.join().unwrap();
        drop(first);
        assert_eq!(gate.read(|shared| shared.queue.len()), 0);
        assert!(gate.read(|shared| shared.channel.is_failing()));
    });
}
