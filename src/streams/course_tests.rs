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
    course.opens(Instant::now());
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
        course.opens(Instant::now());
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
                course.opens(Instant::now());
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
        course.opens(Instant::now());
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
    course.opens(Instant::now());
    assert_eq!(course.on_end(now()), reopen(2));
    course.opens(Instant::now());
    course.on_item(Some(&1));
    let at_once = Step::Reopen {
        after: Duration::ZERO,
        costs: false,
    };
    assert_eq!(course.on_end(now()), at_once);
    course.opens(Instant::now());
    assert_eq!(course.on_end(now()), reopen(1));
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
    course.opens(Instant::now());
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

#[path = "course_tests_lost.rs"]
mod lost;
