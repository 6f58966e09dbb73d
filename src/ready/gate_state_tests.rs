//! The gate for calls that a GOAWAY refused several times.

use std::sync::atomic::AtomicBool as Flag;
use std::task::Wake;

use super::*;
use crate::classify::Reason;
use crate::events::Once;
use crate::grpc::Code;
use crate::kernel::rng::Rng;
use crate::ready::losses::End;

const MS: Duration = Duration::from_millis(1);

/// Releases one waiting call per millisecond.
fn policy() -> WaitForReadyPolicy {
    WaitForReadyPolicy {
        release: std::num::NonZeroU32::new(1_000),
        ..WaitForReadyPolicy::default()
    }
}

fn settings() -> Settings {
    Settings {
        policy: policy(),
        rng: Rng::seeded(1),
        below_another: Once::default(),
    }
}

struct Call {
    returns: u32,
    wait_mode: WaitMode,
    place: Option<Place>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(Flag);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Call {
    fn refused(returns: u32) -> Self {
        Self {
            returns,
            wait_mode: WaitMode::WaitForReady,
            place: None,
            woken: Arc::default(),
        }
    }

    fn asks(&mut self, gate: &Arc<GateState>) -> Decision {
        let waker = Waker::from(Arc::clone(&self.woken));
        let caller = Caller {
            wait_mode: self.wait_mode,
            bytes: 1,
            returns: self.returns,
            waker: Some(&waker),
        };
        gate.turn(caller, &mut self.place, &settings())
    }

    fn waits(&mut self, gate: &Arc<GateState>) -> Option<Duration> {
        match self.asks(gate) {
            Decision::Wait(until, _) => until.map(|at| at - Instant::now()),
            turn => {
                assert!(matches!(turn, Decision::Go(_)), "{turn:?}");
                None
            }
        }
    }
}

/// An open gate and its generation.
fn open() -> (Arc<GateState>, u64) {
    let gate = Arc::new(GateState::default());
    gate.presume_ready();
    let generation = gate.read(|shared| shared.channel.shown_by());
    (gate, generation)
}

// CONTRACT W8
#[tokio::test(start_paused = true)]
async fn a_call_that_three_connections_refused_waits_a_moment_for_a_fresh_one() {
    let (gate, _) = open();
    assert_eq!(Call::refused(2).waits(&gate), None);
    let mut often = Call::refused(3);
    assert_eq!(often.waits(&gate), Some(100 * MS));
    tokio::time::advance(60 * MS).await;
    assert_eq!(often.waits(&gate), Some(40 * MS));
    tokio::time::advance(40 * MS).await;
    assert_eq!(often.waits(&gate), None, "the connection is a good one");
    let mut fast = Call::refused(3);
    fast.wait_mode = WaitMode::FailFast;
    assert_eq!(fast.waits(&gate), None);
}

// CONTRACT W8
#[tokio::test(start_paused = true)]
async fn a_call_that_three_connections_refused_goes_first_on_the_next() {
    let (gate, generation) = open();
    let mut often = Call::refused(3);
    assert_eq!(often.waits(&gate), Some(100 * MS));
    let goaway = Error::local(Code::Unavailable, Reason::GoAway, "GOAWAY");
    gate.lost(generation, End::GoAway, &goaway, &settings());
    assert!(often.woken.0.load(Ordering::SeqCst));
    let mut new = Call::refused(0);
    let Decision::Probe(test, _) = new.asks(&gate) else {
        panic!("the first call that asks tests the channel");
    };
    let mut others = [Call::refused(0), Call::refused(1), often];
    for call in &mut others {
        call.asks(&gate);
    }
    gate.answered(test.number, &policy());
    let slots = others.each_ref().map(|call| {
        let number = call.place.as_ref().unwrap().number;
        gate.read(|shared| shared.queue.slot(number).unwrap())
    });
    assert!(slots[2] < slots[1] && slots[1] < slots[0], "{slots:?}");
}
