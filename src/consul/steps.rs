use std::time::Duration;

use crate::backoff::{Backoff as _, Exponential, Retry};

/// What the agent is asked for, to keep a server registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Register,
    /// Report for a TTL, or look whether the agent knows the server.
    Refresh,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The agent answered that it did not do it.
    Refused,
    /// The agent did not answer.
    Unanswered,
}

/// The event that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepEvent {
    /// WARN: the first failure since all was well.
    Failed,
    /// INFO: all is well again, after failures.
    IsBack,
    /// INFO: the agent had forgotten the server.
    RegisteredAgain,
}

/// The next step that keeps a registered server registered. It reads no clock.
#[derive(Debug)]
pub(super) struct Steps {
    pause: Duration,
    next: Step,
    failures: u32,
}

const FIRST_DELAY: Duration = Duration::from_millis(250);

impl Steps {
    /// The server was registered a moment ago.
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            pause,
            next: Step::Refresh,
            failures: 0,
        }
    }

    pub(super) fn next(&self) -> Step {
        self.next
    }

    /// The delay before the next step, and an event. `unit` is a random number in `[0, 1)`.
    pub(super) fn after(&mut self, outcome: Outcome, unit: f64) -> (Duration, Option<KeepEvent>) {
        match (self.next, outcome) {
            (step, Outcome::Done) => {
                let had_failed = std::mem::take(&mut self.failures) > 0;
                self.next = Step::Refresh;
                let event = match step {
                    Step::Register => Some(KeepEvent::RegisteredAgain),
                    Step::Refresh => had_failed.then_some(KeepEvent::IsBack),
                };
                (self.pause, event)
            }
            // Releases of Consul differ in how they say that they do not know a server or a check.
            // To register is right after any refusal: if it is none of these, it is refused too.
            (Step::Refresh, Outcome::Refused) => {
                self.next = Step::Register;
                (Duration::ZERO, None)
            }
            (Step::Refresh, Outcome::Unanswered) | (Step::Register, _) => {
                self.failures = self.failures.saturating_add(1);
                let event = (self.failures == 1).then_some(KeepEvent::Failed);
                (self.backoff(unit), event)
            }
        }
    }

    /// Never longer than the pause, which is a third of a second at least: a TTL goes on while the
    /// agent can't be reached.
    fn backoff(&self, unit: f64) -> Duration {
        let curve = Exponential::standard(FIRST_DELAY, 2.0, self.pause);
        curve.delay(&Retry::new(self.failures, Duration::ZERO, unit))
    }
}

#[cfg(test)]
mod tests {
    use super::KeepEvent::{Failed, IsBack, RegisteredAgain};
    use super::Outcome::{Done, Refused, Unanswered};
    use super::Step::{Refresh, Register};
    use super::*;

    /// Each row: the step, its outcome, the delay in milliseconds, the event.
    fn run(rows: &[(Step, Outcome, u64, Option<KeepEvent>)]) {
        let mut steps = Steps::new(Duration::from_secs(5));
        for (number, &(step, outcome, millis, event)) in rows.iter().enumerate() {
            assert_eq!(steps.next(), step, "row {number}");
            let expected = (Duration::from_millis(millis), event);
            assert_eq!(steps.after(outcome, 0.5), expected, "row {number}");
        }
    }

    #[test]
    fn a_server_that_the_agent_has_forgotten_is_registered_again_at_once() {
        run(&[
            (Refresh, Done, 5_000, None),
            (Refresh, Refused, 0, None),
            (Register, Done, 5_000, Some(RegisteredAgain)),
            (Refresh, Done, 5_000, None),
        ]);
    }

    #[test]
    fn while_the_agent_is_gone_it_is_asked_with_a_growing_delay_up_to_the_pause() {
        run(&[
            (Refresh, Unanswered, 125, Some(Failed)),
            (Refresh, Unanswered, 250, None),
            (Refresh, Unanswered, 500, None),
            (Refresh, Unanswered, 1_000, None),
            (Refresh, Unanswered, 2_000, None),
            (Refresh, Unanswered, 2_500, None),
            (Refresh, Unanswered, 2_500, None),
            (Refresh, Done, 5_000, Some(IsBack)),
            (Refresh, Unanswered, 125, Some(Failed)),
        ]);
    }

    #[test]
    fn an_agent_that_was_restarted_and_refuses_at_first_gets_the_server_back() {
        run(&[
            (Refresh, Unanswered, 125, Some(Failed)),
            (Refresh, Refused, 0, None),
            (Register, Refused, 250, None),
            (Register, Unanswered, 500, None),
            (Register, Done, 5_000, Some(RegisteredAgain)),
            (Refresh, Done, 5_000, None),
        ]);
    }
}
