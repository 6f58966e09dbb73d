use std::cell::Cell;

/// What carries the calls of a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// `tonic::transport::Channel`.
    #[default]
    Tonic,
    /// `grpc_resilience::channel::Channel`.
    Ours,
}

thread_local! {
    static CURRENT: Cell<Transport> = const { Cell::new(Transport::Tonic) };
    static IS_ASKED: Cell<bool> = const { Cell::new(false) };
}

impl Transport {
    /// That of the test of this thread; tonic's outside of `#[transports::test]`.
    #[must_use]
    pub fn current() -> Self {
        IS_ASKED.set(true);
        CURRENT.get()
    }

    /// Whether this is the channel of this crate.
    #[must_use]
    pub fn is_ours(self) -> bool {
        self == Self::Ours
    }

    /// The waits in the report of the first call of a channel besides those of its retries: ours
    /// says that the call waited for the connection, and with tonic that is a part of its first
    /// attempt.
    #[must_use]
    pub fn first_waits() -> u32 {
        u32::from(Self::current().is_ours())
    }

    /// Runs a test over this transport. Tasks on other threads are not told of it.
    ///
    /// # Panics
    ///
    /// If the test did not ask for the transport, so that it ran the same over each.
    pub async fn run(self, test: impl Future<Output = ()>) {
        let _ended = Reset(CURRENT.replace(self));
        IS_ASKED.set(false);
        test.await;
        assert!(
            IS_ASKED.get(),
            "the test makes no channel: it is the same over each transport"
        );
    }
}

/// Sets the transport back when a test has ended or failed: with `--test-threads 1` the next test
/// runs on the same thread.
struct Reset(Transport);

impl Drop for Reset {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}
