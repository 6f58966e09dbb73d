use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

use super::*;
use crate::ready::Bounds;

#[path = "tests_ends.rs"]
mod ends;

/// Counts its calls.
#[derive(Default)]
pub(in crate::channel) struct Told {
    opened: AtomicUsize,
    leaving: AtomicUsize,
    served_late: AtomicUsize,
    silent: AtomicUsize,
    over: AtomicUsize,
}

impl Watcher for Told {
    fn opened(&self) {
        self.opened.fetch_add(1, Ordering::AcqRel);
    }

    fn leaving(&self, _connection: &Arc<Connection>) {
        self.leaving.fetch_add(1, Ordering::AcqRel);
    }

    fn served_late(&self) {
        self.served_late.fetch_add(1, Ordering::AcqRel);
    }

    fn silent(&self, _connection: &Arc<Connection>) {
        self.silent.fetch_add(1, Ordering::AcqRel);
    }

    fn answers(&self, _connection: &Arc<Connection>) {}

    fn idle(&self, _connection: &Arc<Connection>, _idle_for: Duration) -> Rest {
        Rest::Closed
    }

    fn over(&self, _connection: &Arc<Connection>, _end: Result<(), h2::Error>) {
        self.over.fetch_add(1, Ordering::AcqRel);
    }
}

/// A server that accepts streams and answers none.
async fn accept(io: DuplexStream) {
    let mut server = h2::server::handshake(io).await.unwrap();
    let mut streams = Vec::new();
    while let Some(Ok(stream)) = server.accept().await {
        streams.push(stream);
    }
}

async fn connected(told: &Arc<Told>) -> Arc<Connection> {
    connected_to(told, accept).await
}

pub(in crate::channel) async fn connected_to<S>(
    told: &Arc<Told>,
    serve: impl FnOnce(DuplexStream) -> S,
) -> Arc<Connection>
where
    S: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = duplex(1 << 16);
    tokio::spawn(serve(theirs));
    connected_by(told, ours).await.unwrap()
}

fn plan() -> Plan {
    Plan {
        endpoint: "test".into(),
        load: Arc::new(Load::new(tokio::time::Instant::now())),
        http2: Http2::default(),
        has_watch: false,
        max_requests: MaxRequests::default(),
        keepalive: None,
        max_idle: Some(Duration::from_secs(60)),
        connect_timeout: Duration::from_secs(5),
        queue: Arc::new(Lines::new(Bounds::default(), &Handle::current())),
        complaints: Arc::default(),
    }
}

async fn connected_by(
    told: &Arc<Told>,
    io: impl Io + 'static,
) -> Result<Arc<Connection>, DialError> {
    planned(plan(), told, io).await
}

async fn planned(
    plan: Plan,
    told: &Arc<Told>,
    io: impl Io + 'static,
) -> Result<Arc<Connection>, DialError> {
    let io = async { Ok(Box::new(io) as Box<dyn Io>) };
    let progress = Progress::default();
    connect(plan, &progress, io, Arc::clone(told) as _).await
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), waits).await.unwrap();
}

// CONTRACT C13
#[tokio::test(start_paused = true)]
async fn a_connection_leaves_at_three_quarters_of_the_stream_ids() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    connection.opened(0x5fff_ffff);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(connection.is_open());
    assert_eq!(told.leaving.load(Ordering::Acquire), 0);
    connection.opened(0x6000_0001);
    assert!(!connection.is_open());
    until(|| told.leaving.load(Ordering::Acquire) == 1).await;
    // Without a stream it is over.
    until(|| told.over.load(Ordering::Acquire) == 1).await;
}

fn head() -> http::Request<()> {
    http::Request::post("http://test/a/B").body(()).unwrap()
}

// CONTRACT C16
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_left_gives_requests_back_whole() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    connection.retire();
    let bytes = bytes::Bytes::from_static(b"body");
    let Sent::No(unsent) = connection.send(head(), First::Whole(bytes.clone())) else {
        panic!("it is retired");
    };
    assert_eq!(unsent.why, Why::Gone);
    assert_eq!(unsent.head.uri(), head().uri());
    assert!(matches!(unsent.first, First::Whole(whole) if whole == bytes));
}

// Early flush: a caller that finds the connection busy leaves a mark and does not wait
#[tokio::test(start_paused = true)]
async fn a_request_that_finds_the_connection_busy_goes_all_the_same() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::task::yield_now().await;
    let turn = connection.cell.enter().unwrap();
    let sent = connection.send(head(), First::None);
    assert!(
        matches!(sent, Sent::Yes(..)),
        "it does not wait for the holder"
    );
    assert!(connection.cell.enter().is_none());
    drop(turn);
    until(|| connection.facts.opened() == 1).await;
}

/// Queues a request after this number of answers; the last stream that was written when the next
/// task runs.
async fn written_before_the_next(connection: &Arc<Connection>, answers: u32) -> u32 {
    connection.batch.answered(answers);
    let sent = connection.send(head(), First::None);
    assert!(matches!(sent, Sent::Yes(..)));
    let next = Arc::clone(connection);
    let next = tokio::spawn(async move { next.facts.opened() });
    next.await.unwrap()
}

// Early flush: the task of a connection does not write the first of many requests alone
#[tokio::test(start_paused = true)]
async fn a_request_waits_once_for_the_callers_of_the_answers_that_were_read_with_its_own() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::task::yield_now().await;
    assert_eq!(written_before_the_next(&connection, 3).await, 0);
    until(|| connection.facts.opened() == 1).await;
    assert_eq!(
        written_before_the_next(&connection, 0).await,
        3,
        "no more follow"
    );
    assert_eq!(
        written_before_the_next(&connection, 1).await,
        5,
        "it is its own"
    );
}

// Early flush: a panic must not keep the connection busy
#[tokio::test(start_paused = true)]
async fn a_panic_at_the_connection_ends_it_and_blocks_no_call() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::task::yield_now().await;
    let panics = std::panic::AssertUnwindSafe(|| {
        let _turn = connection.cell.enter().unwrap();
        panic!("as a waker may");
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    until(|| told.over.load(Ordering::Acquire) == 1).await;
    assert!(matches!(connection.send(head(), First::None), Sent::No(_)));
}

// Early flush
#[tokio::test(start_paused = true)]
async fn closing_a_busy_connection_ends_it_when_its_holder_leaves() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::task::yield_now().await;
    let turn = connection.cell.enter().unwrap();
    connection.cell.close();
    drop(turn);
    until(|| told.over.load(Ordering::Acquire) == 1).await;
}

// CONTRACT C7
#[tokio::test(start_paused = true)]
async fn a_cancelled_call_s_slot_is_free_only_after_the_poll_that_wrote_its_reset() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::task::yield_now().await;
    assert!(connection.slots.take(u32::MAX));
    let turn = connection.cell.enter().unwrap();
    let Sent::Yes(response, stream) = connection.send(head(), First::None) else {
        panic!("it is open");
    };
    drop((response, stream));
    connection.cancel_slot();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(connection.slots.in_use(), 1, "h2 was not polled");
    drop(turn);
    until(|| connection.slots.in_use() == 0).await;
}

// RFC 9113 section 8.4: a client that can't use pushed streams forbids them
#[tokio::test(start_paused = true)]
async fn a_server_may_push_nothing() {
    let told = Arc::<Told>::default();
    let (ours, mut theirs) = duplex(1 << 16);
    let dial = tokio::spawn(async move { connected_by(&told, ours).await.map(drop) });
    let mut head = [0; 24 + 9];
    theirs.read_exact(&mut head).await.unwrap();
    assert_eq!(head[24 + 3], 4, "SETTINGS");
    let mut settings = vec![0; head[24 + 2].into()];
    theirs.read_exact(&mut settings).await.unwrap();
    let settings: Vec<_> = settings.chunks(6).collect();
    assert!(settings.contains(&&[0, 2, 0, 0, 0, 0][..]), "{settings:?}");
    dial.abort();
}

// CONTRACT C14
#[tokio::test(start_paused = true)]
async fn the_windows_that_the_estimate_wants_are_set_at_once_and_never_become_smaller() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let window = || connection.window.load(Ordering::Acquire);
    connection.grow(3 << 20);
    until(|| connection.stream_window.load(Ordering::Acquire) == 3 << 20).await;
    assert_eq!(window(), 5 << 20, "it was larger before");
    connection.grow(9 << 20);
    until(|| window() == 9 << 20).await;
}

// CONTRACT C14
#[tokio::test(start_paused = true)]
async fn what_cancelled_calls_left_unread_is_forgotten_once_no_call_is_open() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let window = || connection.window.load(Ordering::Acquire);
    assert!(connection.slots.take(u32::MAX));
    connection.facts.add_data(4 << 20);
    connection.cell.wake();
    until(|| window() == 9 << 20).await;
    connection.free_slot();
    connection.cell.wake();
    until(|| window() == 5 << 20).await;
    assert_eq!(connection.unread(), 0);
}
