use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::classify::{Endpoint, Verdict};
use crate::grpc::{Code, Status};
use crate::kernel::sync::Mutex;

use super::{FailedAttempt, GiveUp};

/// The failures that a report keeps.
const KEPT: usize = 16;

/// A live view of a [stream that comes back](crate::streams::Resumable), over all its openings.
///
/// Its `Display` is one line for a log.
///
/// ```
/// use grpc_resilience::report::StreamReport;
///
/// fn is_healthy(report: &StreamReport) -> bool {
///     report.gaps() == 0 && report.failures().len() < 3
/// }
/// ```
#[derive(Clone)]
pub struct StreamReport(Arc<Mutex<Record>>);

/// Where a stream records what happens to it.
#[derive(Debug)]
pub(crate) struct StreamRecord(Arc<Mutex<Record>>);

#[derive(Clone, Debug, Default)]
struct Record {
    started: Option<Instant>,
    opened: Option<Instant>,
    ended: Option<Instant>,
    opens: u32,
    resumes: u32,
    items: u64,
    refusals: u32,
    gaps: u32,
    overflows: u32,
    unpermitted: u32,
    failed: VecDeque<FailedAttempt>,
    last_status: Option<Status>,
    end: Option<(Code, Option<GiveUp>)>,
}

impl StreamReport {
    /// How often a stream was opened, the first one included.
    #[must_use]
    pub fn opens(&self) -> u32 {
        self.0.lock().opens
    }

    /// How often a stream was opened again, at a token or anew.
    #[must_use]
    pub fn reopens(&self) -> u32 {
        self.0.lock().opens.saturating_sub(1)
    }

    /// How many openings asked for a token.
    #[must_use]
    pub fn resumes(&self) -> u32 {
        self.0.lock().resumes
    }

    /// How many messages came, with those that were discarded because they come again.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.0.lock().items
    }

    /// How many openings the server refused with an answer that counts against the token
    /// (CONTRACT S3).
    #[must_use]
    pub fn refusals(&self) -> u32 {
        self.0.lock().refusals
    }

    /// How often the token was lost and the stream began anew.
    #[must_use]
    pub fn gaps(&self) -> u32 {
        self.0.lock().gaps
    }

    /// How often more messages came without a token than the stream may hold.
    #[must_use]
    pub fn overflows(&self) -> u32 {
        self.0.lock().overflows
    }

    /// How often the retry budget had no permit for an opening.
    #[must_use]
    pub fn unpermitted(&self) -> u32 {
        self.0.lock().unpermitted
    }

    /// The openings that failed and the streams that broke off, oldest first; the last 16 of them,
    /// if there were more. Their number is that of the opening.
    #[must_use]
    pub fn failures(&self) -> Vec<FailedAttempt> {
        self.0.lock().failed.iter().cloned().collect()
    }

    /// The status of the last failure.
    #[must_use]
    pub fn last_status(&self) -> Option<Status> {
        self.0.lock().last_status.clone()
    }

    /// The code that the stream ended with: OK if it is complete, CANCELLED if it was dropped;
    /// `None` while it is under way.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.lock().end.map(|(code, _)| code)
    }

    /// Why a failed stream was not opened again; `None` until it has failed.
    #[must_use]
    pub fn give_up(&self) -> Option<GiveUp> {
        self.0.lock().end.and_then(|(_, give_up)| give_up)
    }

    /// The time since the first opening; once the stream is over, its whole duration.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.lock().elapsed(Instant::now())
    }
}

impl Record {
    fn elapsed(&self, now: Instant) -> Duration {
        let until = self.ended.unwrap_or(now);
        self.started
            .map_or(Duration::ZERO, |it| until.saturating_duration_since(it))
    }
}

#[cfg_attr(
    not(feature = "tonic"),
    expect(dead_code, reason = "only streams of tonic come back")
)]
impl StreamRecord {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn report(&self) -> StreamReport {
        StreamReport(Arc::clone(&self.0))
    }

    pub(crate) fn opens(&self, now: Instant, is_resumed: bool) {
        let mut record = self.0.lock();
        record.started.get_or_insert(now);
        record.opened = Some(now);
        record.opens = record.opens.saturating_add(1);
        record.resumes = record.resumes.saturating_add(u32::from(is_resumed));
    }

    pub(crate) fn item(&self) {
        let mut record = self.0.lock();
        record.items = record.items.saturating_add(1);
    }

    pub(crate) fn fails(
        &self,
        verdict: Verdict,
        status: &Status,
        endpoint: Option<&Endpoint>,
        is_refusal: bool,
        now: Instant,
    ) {
        let mut record = self.0.lock();
        let began = record.opened.take().unwrap_or(now);
        let started = record.started.unwrap_or(began);
        if record.failed.len() == KEPT {
            record.failed.pop_front();
        }
        let number = record.opens;
        record.failed.push_back(FailedAttempt {
            number,
            transparent: false,
            verdict,
            began: began.saturating_duration_since(started),
            took: now.saturating_duration_since(began),
            endpoint: endpoint.cloned(),
        });
        record.refusals = record.refusals.saturating_add(u32::from(is_refusal));
        record.last_status = Some(status.clone());
    }

    pub(crate) fn gap(&self) {
        let mut record = self.0.lock();
        record.gaps = record.gaps.saturating_add(1);
    }

    pub(crate) fn overflows(&self) {
        let mut record = self.0.lock();
        record.overflows = record.overflows.saturating_add(1);
    }

    pub(crate) fn unpermitted(&self) {
        let mut record = self.0.lock();
        record.unpermitted = record.unpermitted.saturating_add(1);
    }

    pub(crate) fn ends(&self, code: Code, give_up: Option<GiveUp>, now: Instant) {
        let mut record = self.0.lock();
        if record.end.is_none() {
            record.end = Some((code, give_up));
            record.ended = Some(now);
        }
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Works on a copy, so that a slow writer does not hold the lock.
        let record = self.0.lock().clone();
        match record.end {
            None => f.write_str("under way")?,
            Some((code, None)) => write!(f, "{code}")?,
            Some((code, Some(reason))) => write!(f, "{code}, {}", reason.name())?,
        }
        write!(
            f,
            ", {:.1?} in all; items: {}, opens: {}, at a token: {}, refusals: {}, gaps: {}",
            record.elapsed(Instant::now()),
            record.items,
            record.opens,
            record.resumes,
            record.refusals,
            record.gaps
        )?;
        for failed in &record.failed {
            write!(f, "; {failed}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamReport({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Progress, Reason};

    #[test]
    fn a_report_reads_as_one_line() {
        let record = StreamRecord::new();
        let report = record.report();
        let now = Instant::now();
        record.opens(now, false);
        record.item();
        let status = Status::new(Code::Unavailable, "gone");
        let verdict = Verdict::new(Progress::Answered, Code::Unavailable, Reason::Answered);
        record.fails(verdict, &status, None, false, now + Duration::from_secs(2));
        record.opens(now + Duration::from_secs(2), true);
        let last = now + Duration::from_secs(3);
        record.ends(Code::OutOfRange, Some(GiveUp::TokenLost), last);
        record.ends(Code::Cancelled, None, last);
        assert_eq!(
            report.to_string(),
            "OUT_OF_RANGE, token_lost, 3.0s in all; items: 1, opens: 2, at a token: 1, refusals: 0, \
             gaps: 0; attempt 1: UNAVAILABLE (answered) after 2.0s"
        );
        assert_eq!(report.reopens(), 1);
        assert_eq!(report.last_status().unwrap().message(), "gone");
    }

    #[test]
    fn a_report_keeps_the_last_failures() {
        let record = StreamRecord::new();
        let status = Status::new(Code::Internal, "");
        let verdict = Verdict::new(Progress::Answered, Code::Internal, Reason::Answered);
        for _ in 0..20 {
            record.opens(Instant::now(), true);
            record.fails(verdict, &status, None, true, Instant::now());
        }
        let report = record.report();
        let numbers: Vec<_> = report.failures().iter().map(|it| it.number).collect();
        assert_eq!(numbers, (5..=20).collect::<Vec<_>>());
        assert_eq!(report.refusals(), 20);
    }
}
