use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::union::{Answer, Union};
use super::{Resolution, Resolver};

/// The union of several resolvers, as the target `multi:///dns:///a:1,unix:/run/b.sock` makes it.
///
/// A resolver that fails keeps its own last addresses, by the rules of the channel: for as long as
/// an error lasts, or for 60 s once it is known that it has none.
///
/// ```
/// use grpc_resilience::channel::resolve::{Fixed, Multi, Resolution, Watched};
/// use std::net::SocketAddr;
/// use tokio::sync::watch;
///
/// let local: SocketAddr = "127.0.0.1:50051".parse()?;
/// let (addresses, receiver) = watch::channel(Vec::<SocketAddr>::new());
/// let resolver = Multi::new()
///     .with(Watched::new(receiver))
///     .with(Fixed::new(Resolution::new([local])));
/// # let _ = (resolver, addresses);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Default)]
pub struct Multi {
    /// `None`: it has ended.
    parts: Vec<Option<Box<dyn Resolver>>>,
    /// Made at the first poll, when all parts are known.
    union: Option<Union>,
    lapse: Option<Pin<Box<Sleep>>>,
}

/// The most rounds in which parts answer and the union stays as it is, before the channel's task
/// does other work.
const ROUNDS: usize = 32;

impl Multi {
    /// Without a part, which is a target without an address.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resolver. Its addresses come after those of the ones before it.
    #[must_use]
    pub fn with(mut self, part: impl Resolver) -> Self {
        self.parts.push(Some(Box::new(part)));
        self
    }

    /// Polls each part once; whether one of them answered.
    fn poll_parts(
        parts: &mut [Option<Box<dyn Resolver>>],
        union: &mut Union,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut has_answered = false;
        for (number, place) in parts.iter_mut().enumerate() {
            let Some(part) = place else { continue };
            if let Poll::Ready(answer) = part.poll_resolution(cx) {
                if answer.is_none() {
                    *place = None;
                }
                union.answered(Instant::now(), number, answer);
                has_answered = true;
            }
        }
        has_answered
    }

    /// Whether a part's set lapsed now; otherwise the task is woken when the next one does.
    fn poll_lapse(
        lapse: &mut Option<Pin<Box<Sleep>>>,
        union: &mut Union,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(at) = union.lapses_at() else {
            *lapse = None;
            return false;
        };
        let sleep = lapse.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        let is_due = sleep.as_mut().poll(cx).is_ready();
        if is_due {
            union.pass(Instant::now());
        }
        is_due
    }
}

impl Resolver for Multi {
    fn poll_resolution(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let Self {
            parts,
            union,
            lapse,
        } = self;
        if parts.is_empty() {
            return Poll::Ready(union.is_none().then(|| {
                *union = Some(Union::new(0));
                Ok(Resolution::default())
            }));
        }
        let union = union.get_or_insert_with(|| Union::new(parts.len()));
        for _ in 0..ROUNDS {
            let has_answered = Self::poll_parts(parts, union, cx);
            let has_lapsed = Self::poll_lapse(lapse, union, cx);
            if let Some(answer) = union.answer() {
                return Poll::Ready(Some(answer));
            }
            if !has_answered && !has_lapsed {
                let has_ended = parts.iter().all(Option::is_none) && lapse.is_none();
                return if has_ended {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn resolve_again(&mut self) {
        for part in self.parts.iter_mut().flatten() {
            part.resolve_again();
        }
    }
}

impl fmt::Debug for Multi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multi")
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::resolve::{Fixed, ResolveError, Watched};
    use std::future::poll_fn;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;
    use tokio::sync::{mpsc, watch};
    use tokio::time::timeout;

    fn tcp(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 1))
    }

    /// A part that a test lets answer.
    struct Told {
        answers: mpsc::UnboundedReceiver<Answer>,
        wishes: Arc<AtomicUsize>,
    }

    impl Resolver for Told {
        fn poll_resolution(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
            self.answers.poll_recv(cx)
        }

        fn resolve_again(&mut self) {
            self.wishes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn told() -> (mpsc::UnboundedSender<Answer>, Arc<AtomicUsize>, Told) {
        let (sender, answers) = mpsc::unbounded_channel();
        let wishes = Arc::new(AtomicUsize::new(0));
        let part = Told {
            answers,
            wishes: Arc::clone(&wishes),
        };
        (sender, wishes, part)
    }

    async fn next(multi: &mut Multi) -> Option<Result<usize, String>> {
        let answer = timeout(
            Duration::from_secs(3_600),
            poll_fn(|cx| multi.poll_resolution(cx)),
        );
        let answer = answer.await.expect("an answer");
        answer.map(|answer| match answer {
            Ok(set) => Ok(set.addresses().len()),
            Err(error) => Err(error.to_string()),
        })
    }

    async fn is_quiet(multi: &mut Multi, seconds: u64) -> bool {
        let next = poll_fn(|cx| multi.poll_resolution(cx));
        timeout(Duration::from_secs(seconds), next).await.is_err()
    }

    // CONTRACT N8
    #[tokio::test(start_paused = true)]
    async fn a_part_that_is_gone_lapses_without_a_further_answer() {
        let (a, _, first) = told();
        let (b, _, second) = told();
        let mut multi = Multi::new().with(first).with(second);
        a.send(Ok(Resolution::new([tcp(1)]))).unwrap();
        b.send(Ok(Resolution::new([tcp(2)]))).unwrap();
        assert_eq!(next(&mut multi).await, Some(Ok(2)));
        a.send(Err(ResolveError::no_address("a", "NXDOMAIN")))
            .unwrap();
        let words = Some(Err("a has no address: NXDOMAIN".to_owned()));
        assert_eq!(next(&mut multi).await, words);
        assert!(is_quiet(&mut multi, 59).await);
        assert_eq!(next(&mut multi).await, Some(Ok(1)));
        assert_eq!(next(&mut multi).await, words);
        assert!(is_quiet(&mut multi, 3_600).await);
    }

    // CONTRACT N8
    #[tokio::test(start_paused = true)]
    async fn a_part_that_recovers_leaves_the_other_s_lapse_where_it_is() {
        let (a, _, first) = told();
        let (b, _, second) = told();
        let mut multi = Multi::new().with(first).with(second);
        for (part, host) in [(&a, 1), (&b, 2)] {
            part.send(Ok(Resolution::new([tcp(host)]))).unwrap();
        }
        assert_eq!(next(&mut multi).await, Some(Ok(2)));
        for part in [&a, &b] {
            let error = ResolveError::no_address("it", "NXDOMAIN");
            part.send(Err(error)).unwrap();
            assert!(next(&mut multi).await.unwrap().is_err());
            assert!(is_quiet(&mut multi, 10).await);
        }
        // At second 20, with lapses at 60 and 70.
        a.send(Ok(Resolution::new([tcp(1)]))).unwrap();
        assert!(is_quiet(&mut multi, 49).await);
        assert_eq!(next(&mut multi).await, Some(Ok(1)));
    }

    // CONTRACT N8
    #[tokio::test(start_paused = true)]
    async fn of_two_parts_that_are_gone_each_lapses_at_its_time() {
        let (a, _, first) = told();
        let (b, _, second) = told();
        let mut multi = Multi::new()
            .with(first)
            .with(second)
            .with(Fixed::new(Resolution::new([tcp(3)])));
        for (part, host) in [(&a, 1), (&b, 2)] {
            part.send(Ok(Resolution::new([tcp(host)]))).unwrap();
        }
        assert_eq!(next(&mut multi).await, Some(Ok(3)));
        for part in [&a, &b] {
            let error = ResolveError::no_address("it", "NXDOMAIN");
            part.send(Err(error)).unwrap();
            assert!(next(&mut multi).await.unwrap().is_err());
            assert!(is_quiet(&mut multi, 10).await);
        }
        // At second 20, with lapses at 60 and 70.
        assert!(is_quiet(&mut multi, 39).await);
        assert_eq!(next(&mut multi).await, Some(Ok(2)));
        assert!(next(&mut multi).await.unwrap().is_err());
        assert!(is_quiet(&mut multi, 8).await);
        assert_eq!(next(&mut multi).await, Some(Ok(1)));
    }

    // CONTRACT N8
    #[tokio::test(start_paused = true)]
    async fn a_part_that_ended_while_it_was_gone_lapses_before_all_end() {
        let (a, _, first) = told();
        let mut multi = Multi::new()
            .with(first)
            .with(Fixed::new(Resolution::new([tcp(2)])));
        a.send(Ok(Resolution::new([tcp(1)]))).unwrap();
        assert_eq!(next(&mut multi).await, Some(Ok(2)));
        a.send(Err(ResolveError::no_address("it", "NXDOMAIN")))
            .unwrap();
        drop(a);
        assert!(next(&mut multi).await.unwrap().is_err());
        assert!(is_quiet(&mut multi, 59).await);
        assert_eq!(next(&mut multi).await, Some(Ok(1)));
        assert!(next(&mut multi).await.unwrap().is_err());
        assert_eq!(next(&mut multi).await, None);
    }

    // CONTRACT N8
    #[tokio::test(start_paused = true)]
    async fn an_address_that_moves_from_one_part_to_another_stays() {
        let (a, first) = watch::channel(vec![tcp(1), tcp(2)]);
        let (b, second) = watch::channel(vec![tcp(3)]);
        let mut multi = Multi::new()
            .with(Watched::new(first))
            .with(Watched::new(second));
        assert_eq!(next(&mut multi).await, Some(Ok(3)));
        a.send_replace(vec![tcp(1)]);
        b.send_replace(vec![tcp(2), tcp(3)]);
        // Seen together, the union is as before.
        assert!(is_quiet(&mut multi, 1).await);
    }

    // CONTRACT N5
    #[tokio::test(start_paused = true)]
    async fn each_part_is_asked_again() {
        let (a, wishes_a, first) = told();
        let (b, wishes_b, second) = told();
        let mut multi = Multi::new().with(first).with(second);
        multi.resolve_again();
        let wishes = |wishes: &AtomicUsize| wishes.load(Ordering::Relaxed);
        assert_eq!((wishes(&wishes_a), wishes(&wishes_b)), (1, 1));
        drop(a);
        b.send(Ok(Resolution::new([tcp(1)]))).unwrap();
        assert_eq!(next(&mut multi).await, Some(Ok(1)));
        // Not the one that has ended.
        multi.resolve_again();
        assert_eq!((wishes(&wishes_a), wishes(&wishes_b)), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_last_part() {
        let fixed = |host| Fixed::new(Resolution::new([tcp(host)]));
        let mut multi = Multi::new().with(fixed(1)).with(fixed(2));
        assert_eq!(next(&mut multi).await, Some(Ok(2)));
        assert_eq!(next(&mut multi).await, None);
        let mut empty = Multi::new();
        assert_eq!(next(&mut empty).await, Some(Ok(0)));
        assert_eq!(next(&mut empty).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_is_always_ready_leaves_the_task_to_others() {
        struct Busy;
        impl Resolver for Busy {
            fn poll_resolution(&mut self, _: &mut Context<'_>) -> Poll<Option<Answer>> {
                Poll::Ready(Some(Ok(Resolution::new([tcp(1)]))))
            }
        }
        #[derive(Default)]
        struct Woken(AtomicUsize);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut multi = Multi::new().with(Busy);
        assert_eq!(next(&mut multi).await, Some(Ok(1)));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let poll = multi.poll_resolution(&mut Context::from_waker(&waker));
        // It comes back after the others.
        assert!(poll.is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}
