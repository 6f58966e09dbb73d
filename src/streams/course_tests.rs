use super::*;
use crate::grpc::Status;
use crate::retry::RetryPolicy;

type Seconds = u64;

/// A course under a policy whose waits are 1, 2, 4 s and so on.
fn course(on_end: OnEnd, on_lost: OnLost, token: Option<u32>) -> Course<u32> {
    let backoff = Exponential::standard(secs(1), 2.0, secs(60)).jitter(Jitter::None);
    let policy = RetryPolicy::until_deadline().backoff(backoff);
    with(policy, on_end, on_lost, token)
}

fn with(policy: RetryPolicy, on_end: OnEnd, on_lost: OnLost, token: Option<u32>) -> Course<u32> {
    let rules = Rules {
        policy: Arc::new(policy),
        on_end,
        on_lost,
    };
    let mut course = Course::new(rules, token);
    course.opens();
    course
}

fn secs(secs: Seconds) -> Duration {
    Duration::from_secs(secs)
}

fn at(now: Instant) -> Moment {
    Moment {
        now,
        unit: 0.5,
        remaining: None,
    }
}

fn now() -> Moment {
    at(Instant::now())
}

fn error(code: Code, reason: Reason) -> Error {
    let progress = match reason {
        Reason::Answered => Progress::Answered,
        _ => Progress::Reached,
    };
    let verdict = Verdict::new(progress, code, reason);
    Error::answered(verdict, Status::new(code, "why"))
}

fn answer(code: Code) -> Error {
    error(code, Reason::Answered)
}

fn reopen(after: Seconds) -> Step {
    Step::Reopen {
        after: secs(after),
        costs: true,
    }
}

fn restart(after: Seconds) -> Step {
    Step::Restart {
        after: secs(after),
        is_told: true,
    }
}

const fn fail(give_up: GiveUp) -> Step {
    Step::Fail(give_up)
}

// CONTRACT S2, S3
#[test]
fn each_failure_of_an_opening_has_its_step() {
    use super::Code::*;
    use super::Reason::{
        Answered, ConnectionLost, DeadlineExceeded as Expired, Dropped, ForeignStatus, GoAway,
        GoAwayError, HookFailed, HttpStatus, InvalidStatus, KeepaliveTimeout, MessageTooLarge,
        NoRuntime, NoStatus, Queued, StreamRefused, StreamReset, Throttled, TransportTimedOut,
        Unrecognised,
    };
    let (again, lost) = (reopen(1), restart(0));
    let refused = fail(GiveUp::CodeNotRetryable);
    // The failure, the step without a token, the step with one, and whether it counts against it.
    let table = [
        (Unavailable, Answered, again, again, false),
        (Unavailable, ForeignStatus, again, again, false),
        (Unavailable, HttpStatus, again, again, false),
        (Unavailable, ConnectionLost, again, again, false),
        (Unavailable, KeepaliveTimeout, again, again, false),
        (Unavailable, StreamRefused, again, again, false),
        (Unavailable, GoAway, again, again, false),
        (Unavailable, GoAwayError, again, again, false),
        (Unavailable, Queued, again, again, false),
        (Cancelled, StreamReset, again, again, false),
        (Internal, StreamReset, again, again, true),
        (
            ResourceExhausted,
            StreamReset,
            reopen(10),
            reopen(10),
            false,
        ),
        (Unknown, NoStatus, again, again, false),
        (
            DeadlineExceeded,
            Reason::AttemptTimedOut,
            again,
            again,
            false,
        ),
        (DeadlineExceeded, TransportTimedOut, again, again, false),
        (Internal, Answered, refused, again, true),
        (Internal, ForeignStatus, refused, again, true),
        (NotFound, Answered, refused, again, true),
        (NotFound, ForeignStatus, refused, again, true),
        (NotFound, HttpStatus, refused, again, true),
        (Unknown, Unrecognised, refused, refused, false),
        (Unauthenticated, HookFailed, refused, refused, false),
        (OutOfRange, Answered, refused, lost, true),
        (OutOfRange, ForeignStatus, refused, lost, true),
        (FailedPrecondition, Answered, refused, lost, true),
        (OutOfRange, MessageTooLarge, refused, refused, false),
        (Internal, MessageTooLarge, refused, refused, false),
        (Unavailable, InvalidStatus, refused, refused, false),
        (FailedPrecondition, NoRuntime, refused, refused, false),
        (ResourceExhausted, Throttled, refused, refused, false),
        (
            Cancelled,
            Dropped,
            fail(GiveUp::Cancelled),
            fail(GiveUp::Cancelled),
            false,
        ),
        (
            DeadlineExceeded,
            Expired,
            fail(GiveUp::Deadline),
            fail(GiveUp::Deadline),
            false,
        ),
    ];
    for (code, reason, without, resumed, counts) in table {
        for (token, step) in [(None, without), (Some(7), resumed)] {
            let mut course = course(OnEnd::Done, OnLost::Restart, token);
            let decision = course.on_failure(&error(code, reason), now());
            assert_eq!(decision.step, step, "{code} {reason} {token:?}");
            let expected = counts && (token.is_some() || step != lost);
            assert_eq!(decision.is_refusal, expected, "{code} {reason} {token:?}");
        }
    }
}

// CONTRACT S3
#[test]
fn the_third_refusal_of_a_token_loses_it() {
    let mut course = course(OnEnd::Done, OnLost::Restart, Some(7));
    let steps = [Code::NotFound, Code::Internal, Code::NotFound].map(|code| {
        let step = course.on_failure(&answer(code), now()).step;
        course.opens();
        step
    });
    assert_eq!(steps, [reopen(1), reopen(2), restart(0)]);
    assert_eq!(course.token(), None);
    assert_eq!(course.take_lost(), Some(7));
    assert_eq!(course.attempts(), 1);
}

// CONTRACT S3
#[test]
fn what_the_policy_retries_is_no_refusal_but_for_internal() {
    let policy = RetryPolicy::until_deadline().retry_on(Code::Internal);
    let policy = policy.retry_on(Code::NotFound);
    for (code, is_lost) in [(Code::NotFound, false), (Code::Internal, true)] {
        for token in [None, Some(7)] {
            let mut course = with(policy.clone(), OnEnd::Done, OnLost::Fail, token);
            let third = (0..3).map(|_| {
                course.opens();
                course.on_failure(&answer(code), now()).step
            });
            let give_up = match (is_lost, token) {
                (false, _) => None,
                (true, None) => Some(GiveUp::AttemptsExhausted),
                (true, Some(_)) => Some(GiveUp::TokenLost),
            };
            let third = third.last().unwrap();
            let found = match third {
                Step::Fail(give_up) => Some(give_up),
                _ => None,
            };
            assert_eq!(found, give_up, "{code} {token:?}");
        }
    }
}

// CONTRACT S3: they say so, whatever the policy retries
#[test]
fn a_code_that_says_the_token_is_gone_is_not_retried() {
    let policy = RetryPolicy::until_deadline().retry_on(Code::OutOfRange);
    let mut course = with(policy, OnEnd::Done, OnLost::Restart, Some(7));
    let step = course.on_failure(&answer(Code::OutOfRange), now()).step;
    assert_eq!(step, restart(0));
}

// CONTRACT S3
#[test]
fn a_newer_token_in_the_stream_makes_its_end_an_ordinary_one() {
    for code in [Code::OutOfRange, Code::NotFound, Code::Internal] {
        let mut course = course(OnEnd::Done, OnLost::Restart, Some(7));
        course.on_item(Some(&8));
        let decision = course.on_failure(&answer(code), now());
        assert_eq!(decision.step, reopen(1), "{code}");
        assert!(!decision.is_refusal);
        // The same without an accepted token before.
        let mut course = self::course(OnEnd::Done, OnLost::Restart, None);
        course.on_item(Some(&8));
        assert_eq!(course.on_failure(&answer(code), now()).step, reopen(1));
    }
}

// CONTRACT S3
#[test]
fn the_choice_decides_what_a_lost_token_leads_to() {
    let skip = Step::Restart {
        after: Duration::ZERO,
        is_told: false,
    };
    for (on_lost, step) in [
        (OnLost::Fail, fail(GiveUp::TokenLost)),
        (OnLost::Restart, restart(0)),
        (OnLost::Skip, skip),
    ] {
        let mut gone = course(OnEnd::Done, on_lost, Some(7));
        assert_eq!(gone.on_failure(&answer(Code::OutOfRange), now()).step, step);
        let mut told = course(OnEnd::Done, on_lost, Some(7));
        assert_eq!(told.on_lost_message(now()), step);
        let mut original = course(OnEnd::Done, on_lost, None);
        assert_eq!(original.on_lost_message(now()), fail(GiveUp::TokenLost));
    }
}

// CONTRACT S3
#[test]
fn restarts_keep_a_growing_distance_until_a_token_is_accepted() {
    let start = Instant::now();
    let mut course = course(OnEnd::Done, OnLost::Restart, Some(1));
    let mut clock = start;
    let mut lose = |course: &mut Course<u32>, token| {
        course.opens();
        course.on_item(Some(&token));
        course.opens();
        let step = course.on_failure(&answer(Code::OutOfRange), at(clock)).step;
        let Step::Restart { after, .. } = step else {
            panic!("{step:?}");
        };
        clock += after;
        after
    };
    // A restart brings tokens, but none of them is accepted. The spread is half of a fifth.
    course.opens();
    let first = course.on_lost_message(at(start));
    assert_eq!(first, restart(0));
    let waits = [2, 3, 4, 5].map(|token| lose(&mut course, token).as_secs());
    assert_eq!(waits, [66, 198, 594, 660]);
    // What resumes and goes on forgets them.
    course.opens();
    course.on_item(Some(&6));
    course.opens();
    course.on_item(Some(&7));
    assert_eq!(lose(&mut course, 8), Duration::ZERO);
}

// CONTRACT S3
#[test]
fn the_distance_counts_from_the_last_restart() {
    let start = Instant::now();
    let mut course = course(OnEnd::Done, OnLost::Restart, Some(1));
    course.on_lost_message(at(start));
    course.opens();
    course.on_item(Some(&2));
    let later = at(start + secs(40));
    assert_eq!(course.on_lost_message(later), restart(26));
    let mut again = course.clone();
    again.opens();
    again.on_item(Some(&3));
    let much_later = at(start + secs(4_000));
    assert_eq!(again.on_lost_message(much_later), restart(0));
}

// CONTRACT S4
#[test]
fn only_a_new_token_is_progress() {
    let unavailable = answer(Code::Unavailable);
    let mut course = course(OnEnd::Reopen, OnLost::Fail, Some(7));
    let mut next = |item: Option<Option<u32>>| {
        if let Some(token) = item {
            course.on_item(token.as_ref());
        }
        let step = course.on_failure(&unavailable, now()).step;
        course.opens();
        (step, course.attempts())
    };
    assert_eq!(next(None), (reopen(1), 2));
    assert_eq!(next(Some(None)), (reopen(2), 3), "no token");
    assert_eq!(next(Some(Some(7))), (reopen(4), 4), "the same token");
    assert_eq!(next(Some(Some(8))), (reopen(1), 2), "a new token");
    assert_eq!(next(None), (reopen(2), 3));
}

// CONTRACT S2, S4
#[test]
fn a_clean_end_is_followed_at_once_after_progress_and_by_the_backoff_without() {
    let mut done = course(OnEnd::Done, OnLost::Fail, None);
    assert_eq!(done.on_end(now()), Step::Done);
    let mut course = course(OnEnd::Reopen, OnLost::Fail, None);
    assert_eq!(course.on_end(now()), reopen(1));
    course.opens();
    assert_eq!(course.on_end(now()), reopen(2));
    course.opens();
    course.on_item(Some(&1));
    let at_once = Step::Reopen {
        after: Duration::ZERO,
        costs: false,
    };
    assert_eq!(course.on_end(now()), at_once);
    course.opens();
    assert_eq!(course.on_end(now()), reopen(1));
}

// CONTRACT S1
#[test]
fn what_is_unresumable_loses_its_place_at_any_break_until_the_next_token() {
    let overflowed = |token| {
        let mut course = course(OnEnd::Reopen, OnLost::Restart, token);
        course.overflows();
        course
    };
    for token in [None, Some(7)] {
        let mut course = overflowed(token);
        let step = course.on_failure(&answer(Code::Unavailable), now()).step;
        assert_eq!(step, restart(0));
        assert_eq!(course.take_lost(), token);
        let mut course = overflowed(token);
        assert_eq!(course.on_end(now()), restart(0));
        let mut course = overflowed(token);
        course.on_item(Some(&7));
        let step = course.on_failure(&answer(Code::Unavailable), now()).step;
        assert_eq!(step, reopen(1), "after a token, new or not");
        let mut course = overflowed(token);
        course.resume_from(9);
        let step = course.on_failure(&answer(Code::Unavailable), now()).step;
        assert_eq!(step, reopen(1));
        // A failure that ends the stream in any case keeps its reason.
        let mut course = overflowed(token);
        let too_large = error(Code::OutOfRange, Reason::MessageTooLarge);
        let step = course.on_failure(&too_large, now()).step;
        assert_eq!(step, fail(GiveUp::CodeNotRetryable));
    }
    let mut course = course(OnEnd::Done, OnLost::Restart, None);
    course.overflows();
    assert_eq!(course.on_end(now()), Step::Done, "it is complete");
}

// CONTRACT S2, P2, P10
#[test]
fn hints_set_the_wait_also_of_a_restart() {
    let hinted = |code, hint| {
        let verdict = Verdict {
            hint: Some(hint),
            ..Verdict::new(Progress::Answered, code, Reason::Answered)
        };
        Error::answered(verdict, Status::new(code, "why"))
    };
    let unavailable = hinted(Code::Unavailable, Hint::Exactly(secs(9)));
    let mut course = course(OnEnd::Done, OnLost::Restart, Some(1));
    assert_eq!(course.on_failure(&unavailable, now()).step, reopen(9));
    course.opens();
    let plain = course.on_failure(&answer(Code::Unavailable), now()).step;
    assert_eq!(plain, reopen(1), "a hint starts the backoff over");
    course.opens();
    let gone = hinted(Code::OutOfRange, Hint::AtLeast(secs(5)));
    assert_eq!(course.on_failure(&gone, now()).step, restart(5));
    let mut course = self::course(OnEnd::Done, OnLost::Restart, Some(1));
    let stop = hinted(Code::OutOfRange, Hint::Stop);
    let step = course.on_failure(&stop, now()).step;
    assert_eq!(step, fail(GiveUp::PushbackStop));
}

// CONTRACT S6
#[test]
fn no_wait_goes_beyond_the_deadline() {
    let left = |left| Moment {
        remaining: Some(secs(left)),
        ..now()
    };
    let opened = || course(OnEnd::Reopen, OnLost::Restart, Some(1));
    let unavailable = answer(Code::Unavailable);
    assert_eq!(opened().on_failure(&unavailable, left(2)).step, reopen(1));
    let late = fail(GiveUp::Deadline);
    assert_eq!(opened().on_failure(&unavailable, left(1)).step, late);
    assert_eq!(opened().on_end(left(1)), late);
    let mut course = opened();
    course.on_lost_message(now());
    course.opens();
    course.on_item(Some(&2));
    assert_eq!(course.on_lost_message(left(60)), late);
}

// CONTRACT T2
#[test]
fn a_failure_is_charged_as_the_retry_layer_would() {
    let charged = |error: &Error| {
        let mut course = course(OnEnd::Done, OnLost::Fail, Some(1));
        course.on_failure(error, now()).is_charged
    };
    assert!(charged(&answer(Code::Unavailable)));
    assert!(charged(&error(
        Code::DeadlineExceeded,
        Reason::AttemptTimedOut
    )));
    assert!(!charged(&answer(Code::NotFound)));
    assert!(!charged(&answer(Code::OutOfRange)));
}
