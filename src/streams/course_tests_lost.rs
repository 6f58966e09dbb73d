use super::*;

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
        course.opens(clock);
        course.on_item(Some(&token));
        course.opens(clock);
        let step = course.on_failure(&answer(Code::OutOfRange), at(clock)).step;
        let Step::Restart { after, .. } = step else {
            panic!("{step:?}");
        };
        clock += after;
        after
    };
    // A restart brings tokens, but none of them is accepted. The spread is half of a fifth.
    course.opens(Instant::now());
    let first = course.on_lost_message(at(start));
    assert_eq!(first, restart(0));
    let waits = [2, 3, 4, 5].map(|token| lose(&mut course, token).as_secs());
    assert_eq!(waits, [66, 198, 594, 660]);
    // What resumes and goes on forgets them.
    course.opens(Instant::now());
    course.on_item(Some(&6));
    course.opens(Instant::now());
    course.on_item(Some(&7));
    assert_eq!(lose(&mut course, 8), Duration::ZERO);
}

// CONTRACT S3
#[test]
fn the_distance_counts_from_the_last_restart() {
    let start = Instant::now();
    let mut course = course(OnEnd::Done, OnLost::Restart, Some(1));
    course.on_lost_message(at(start));
    course.opens(start);
    course.on_item(Some(&2));
    let later = at(start + secs(40));
    assert_eq!(course.on_lost_message(later), restart(26));
    let mut again = course.clone();
    // It waited longer than it had to, for a permit of the budget or for the caller.
    again.opens(start + secs(100));
    again.on_item(Some(&3));
    let soon = at(start + secs(110));
    assert_eq!(again.clone().on_lost_message(soon), restart(188));
    let mut again = course.clone();
    again.opens(start + secs(66));
    again.on_item(Some(&3));
    let much_later = at(start + secs(4_000));
    assert_eq!(again.on_lost_message(much_later), restart(0));
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
    course.opens(Instant::now());
    let plain = course.on_failure(&answer(Code::Unavailable), now()).step;
    assert_eq!(plain, reopen(1), "a hint starts the backoff over");
    course.opens(Instant::now());
    let gone = hinted(Code::OutOfRange, Hint::AtLeast(secs(5)));
    assert_eq!(course.on_failure(&gone, now()).step, restart(5));
    let mut course = self::course(OnEnd::Done, OnLost::Restart, Some(1));
    let forbidden = hinted(Code::OutOfRange, Hint::Stop);
    let step = course.on_failure(&forbidden, now()).step;
    assert_eq!(step, fail(GiveUp::PushbackStop));
}

// CONTRACT S3, S4
#[test]
fn a_stream_that_begins_anew_counts_and_waits_from_the_beginning() {
    let mut course = course(OnEnd::Done, OnLost::Restart, Some(1));
    for _ in 0..2 {
        course.on_failure(&answer(Code::NotFound), now());
        course.opens(Instant::now());
    }
    course.overflows();
    assert_eq!(course.on_lost_message(now()), restart(0));
    course.opens(Instant::now());
    let first = course.on_failure(&answer(Code::Unavailable), now()).step;
    assert_eq!(first, reopen(1));
    course.resume_from(5);
    course.opens(Instant::now());
    let refused = |course: &mut Course<u32>| {
        let step = course.on_failure(&answer(Code::NotFound), now()).step;
        course.opens(Instant::now());
        step
    };
    assert_eq!(refused(&mut course), reopen(2));
    assert_eq!(refused(&mut course), reopen(4));
    course.resume_from(6);
    assert_eq!(refused(&mut course), reopen(8), "the count is of a token");
}

// CONTRACT S8: each opening is a call of its own
#[test]
fn an_opening_that_was_not_sent_is_repeated_at_its_cost() {
    let unsent = [
        (Progress::NotSent, Reason::Queued),
        (Progress::Refused, Reason::GoAway),
        (Progress::Refused, Reason::StreamRefused),
    ];
    for (progress, reason) in unsent {
        let verdict = Verdict::new(progress, Code::Unavailable, reason);
        let error = Error::answered(verdict, Status::new(Code::Unavailable, "why"));
        let mut course = course(OnEnd::Done, OnLost::Fail, None);
        let step = course.on_failure(&error, now()).step;
        assert_eq!(step, reopen(1), "{reason}");
    }
}

// CONTRACT S3
#[test]
fn an_answer_about_another_token_than_the_callers_is_no_refusal_of_it() {
    let mut course = course(OnEnd::Reopen, OnLost::Restart, Some(1));
    course.opens(Instant::now());
    course.resume_from(9);
    let step = course.on_failure(&answer(Code::OutOfRange), now()).step;
    assert!(matches!(step, Step::Reopen { .. }), "{step:?}");
    assert_eq!(course.token(), Some(&9));
    course.opens(Instant::now());
    let step = course.on_failure(&answer(Code::OutOfRange), now()).step;
    assert_eq!(step, restart(0));
}

// CONTRACT S3
#[test]
fn a_stream_that_was_open_for_a_minute_was_not_refused() {
    let start = Instant::now();
    for (lived, is_lost) in [(59, true), (60, false)] {
        let mut course = course(OnEnd::Reopen, OnLost::Restart, Some(1));
        let mut step = Step::Done;
        for _ in 0..3 {
            course.opens(Instant::now());
            course.opened(start);
            step = course
                .on_failure(&answer(Code::Internal), at(start + secs(lived)))
                .step;
        }
        assert_eq!(step == restart(0), is_lost, "{lived}: {step:?}");
    }
}

// CONTRACT S2, P10
#[test]
fn a_server_that_forbids_retries_or_asks_for_days_ends_the_stream() {
    for (hint, give_up) in [
        (Hint::Stop, None),
        (Hint::AtLeast(secs(864_000)), Some(GiveUp::HintTooLong)),
    ] {
        let mut course = course(OnEnd::Reopen, OnLost::Restart, Some(1));
        course.opens(Instant::now());
        let error = answer(Code::OutOfRange).hinted(Some(hint));
        let step = course.on_failure(&error, now()).step;
        match (step, give_up) {
            (Step::Fail(found), Some(expected)) => assert_eq!(found, expected),
            (Step::Fail(_), None) => {}
            (step, _) => panic!("{hint:?}: {step:?}"),
        }
    }
}
