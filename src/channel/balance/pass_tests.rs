use std::collections::BTreeMap;

use super::*;

/// Addresses that a test answers for.
struct Fake {
    now: Instant,
    seen: BTreeMap<u64, Seen>,
    backoff: Duration,
    failed: BTreeMap<u64, Instant>,
    log: Vec<String>,
}

impl Hands for Fake {
    fn seen(&self, number: u64) -> Seen {
        self.seen[&number]
    }

    fn dial(&mut self, number: u64) -> Instant {
        self.seen.get_mut(&number).unwrap().is_dialling = true;
        let due = self.failed.get(&number).map(|at| *at + self.backoff);
        let begins = due.map_or(self.now, |due| due.max(self.now));
        self.log.push(format!("dial {number}"));
        begins
    }

    fn stand_by(&mut self, number: u64) {
        self.seen.insert(number, REST);
        self.log.push(format!("stand by {number}"));
    }
}

const REST: Seen = Seen {
    is_ready: false,
    is_dialling: false,
    is_connected: false,
    is_at_rest: false,
};

struct World {
    pass: Pass,
    fake: Fake,
}

impl World {
    fn new(order: &[u64]) -> Self {
        let mut world = Self {
            pass: Pass::default(),
            fake: Fake {
                now: Instant::now(),
                seen: BTreeMap::new(),
                backoff: Duration::from_secs(1),
                failed: BTreeMap::new(),
                log: Vec::new(),
            },
        };
        world.replace(order);
        world
    }

    fn replace(&mut self, order: &[u64]) {
        for number in order {
            self.fake.seen.entry(*number).or_insert(REST);
        }
        self.pass.replace(order.to_vec());
    }

    fn step(&mut self) -> Option<Instant> {
        self.pass.step(self.fake.now, &mut self.fake)
    }

    fn fail(&mut self, number: u64) {
        self.fake.seen.insert(number, REST);
        self.fake.failed.insert(number, self.fake.now);
    }

    fn connect(&mut self, number: u64) {
        let seen = self.fake.seen.get_mut(&number).unwrap();
        (seen.is_ready, seen.is_dialling, seen.is_connected) = (true, false, true);
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fake.log)
    }

    fn pass_time(&mut self, millis: u64) {
        self.fake.now += Duration::from_millis(millis);
    }
}

// CONTRACT L6; GO-pf-happy-eyeballs
#[test]
fn the_next_address_is_tried_after_250_ms_or_at_once_after_a_failure() {
    let mut world = World::new(&[1, 2, 3]);
    let start = world.fake.now;
    assert_eq!(world.step(), Some(start + ATTEMPT_DELAY));
    assert_eq!(world.log(), ["dial 1"]);
    world.pass_time(249);
    world.step();
    assert_eq!(world.log(), [""; 0]);
    world.pass_time(1);
    assert_eq!(world.step(), Some(start + 2 * ATTEMPT_DELAY));
    assert_eq!(world.log(), ["dial 2"]);
    world.pass_time(10);
    world.fail(2);
    assert_eq!(world.step(), None, "all are under way");
    assert_eq!(world.log(), ["dial 3"]);
    world.connect(1);
    assert_eq!(world.step(), None);
    assert_eq!(world.log(), ["stand by 3"]);
    assert_eq!(world.pass.used(), Some(1));
    assert_eq!(world.pass.state(), Connectivity::Ready);
}

// CONTRACT L6, C4; JAVA-backoff-pass, CORE-pf-sticky
#[test]
fn a_pass_that_failed_is_followed_by_one_from_the_first_after_its_backoff() {
    let mut world = World::new(&[1, 2]);
    world.step();
    assert_eq!(world.pass.state(), Connectivity::Connecting);
    world.fail(1);
    world.step();
    assert_eq!(world.pass.state(), Connectivity::Connecting);
    assert_eq!(world.log(), ["dial 1", "dial 2"]);
    world.fail(2);
    let next = world.step().unwrap();
    // The first is dialled after its backoff; the second, 250 ms after that or when it fails.
    assert_eq!(next - world.fake.now, Duration::from_millis(1_250));
    assert_eq!(world.log(), ["dial 1"]);
    assert_eq!(world.pass.state(), Connectivity::TransientFailure);
    world.pass_time(1_000);
    world.step();
    assert_eq!(world.log(), [""; 0]);
    world.fail(1);
    world.step();
    assert_eq!(world.log(), ["dial 2"]);
    assert_eq!(world.pass.state(), Connectivity::TransientFailure, "sticky");
    world.connect(2);
    world.step();
    assert_eq!(world.pass.state(), Connectivity::Ready);
    world.fail(2);
    world.step();
    assert_eq!(world.pass.state(), Connectivity::Connecting);
}

// CONTRACT L6; CORE-pf-top-of-list
#[test]
fn after_a_loss_the_next_pass_begins_at_the_top() {
    let mut world = World::new(&[1, 2, 3]);
    world.step();
    world.fail(1);
    world.step();
    world.connect(2);
    world.step();
    world.log();
    world.fail(2);
    world.step();
    assert_eq!(world.log(), ["dial 1"]);
}

// CONTRACT L6, N9; CORE-pf-superset, GO-pf-removed
#[test]
fn the_used_address_stays_wherever_it_stands_and_a_removed_one_is_replaced() {
    let mut world = World::new(&[1, 2]);
    world.step();
    world.connect(1);
    world.step();
    world.replace(&[3, 2, 1]);
    assert_eq!(world.step(), None);
    assert_eq!(world.pass.used(), Some(1));
    assert_eq!(world.log(), ["dial 1"]);
    world.replace(&[3, 2]);
    world.step();
    assert_eq!(world.log(), ["dial 3"]);
    assert_eq!(world.pass.state(), Connectivity::Connecting);
}

// CONTRACT L6
#[test]
fn a_new_address_does_not_wait_for_the_backoff_of_the_others() {
    let mut world = World::new(&[1]);
    world.fake.backoff = Duration::from_secs(60);
    world.step();
    world.fail(1);
    world.step();
    world.log();
    world.replace(&[9, 1]);
    world.step();
    assert_eq!(world.log(), ["dial 9"]);
    assert_eq!(world.pass.state(), Connectivity::TransientFailure);
}

// CONTRACT L6
#[test]
fn a_connection_that_was_closed_for_want_of_calls_is_made_anew_for_the_next_call() {
    let mut world = World::new(&[1, 2]);
    world.step();
    world.connect(1);
    world.step();
    let at_rest = Seen {
        is_at_rest: true,
        ..REST
    };
    world.fake.seen.insert(1, at_rest);
    world.log();
    assert_eq!(world.step(), None);
    assert_eq!(
        (world.log(), world.pass.state()),
        (vec![], Connectivity::Idle)
    );
    world.pass.want();
    world.step();
    assert_eq!(world.log(), ["dial 1"]);
    assert_eq!(world.pass.state(), Connectivity::Connecting);
}

#[test]
fn two_that_are_ready_at_once_leave_one() {
    let mut world = World::new(&[1, 2]);
    world.step();
    world.pass_time(250);
    world.step();
    world.connect(2);
    world.connect(1);
    world.step();
    assert_eq!(world.pass.used(), Some(1));
    assert_eq!(world.log(), ["dial 1", "dial 2", "stand by 2"]);
}

#[test]
fn an_empty_set_has_nothing_to_try() {
    let mut world = World::new(&[]);
    assert_eq!(world.step(), None);
    assert_ne!(world.pass.state(), Connectivity::TransientFailure);
}

// CONTRACT L6
#[test]
fn a_shorter_list_goes_on_with_the_pass() {
    let mut world = World::new(&[1, 2, 3]);
    world.step();
    world.fail(1);
    world.step();
    assert_eq!(world.log(), ["dial 1", "dial 2"]);
    world.replace(&[1, 2]);
    world.step();
    assert_eq!(world.log(), [""; 0]);
    world.pass_time(250);
    assert_eq!(world.step(), None, "there is no other to try");
}

// CONTRACT L6
#[test]
fn the_used_address_stays_though_one_before_it_becomes_ready() {
    let mut world = World::new(&[1, 2]);
    world.step();
    world.fail(1);
    world.step();
    world.connect(2);
    world.step();
    world.log();
    world.connect(1);
    world.step();
    assert_eq!(world.pass.used(), Some(2));
    assert_eq!(world.log(), ["stand by 1"]);
}
