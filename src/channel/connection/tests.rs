use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};

use super::*;
use crate::ready::Bounds;

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

/// What becomes of writes; 0: they go well.
type Writes = Arc<AtomicU8>;

const FAIL: u8 = 1;
const WAIT: u8 = 2;

/// A transport whose writes fail, or wait, once the test says so. Its read side never ends.
struct Failing(DuplexStream, Writes);

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Failing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.1.load(Ordering::Acquire) {
            FAIL => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            WAIT => Poll::Pending,
            _ => Pin::new(&mut self.0).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connection whose timer is set to when it would have been idle for a while.
async fn failing(told: &Arc<Told>) -> (Arc<Connection>, Writes) {
    let (ours, theirs) = duplex(1 << 16);
    tokio::spawn(accept(theirs));
    let writes = Writes::default();
    let connection = connected_by(told, Failing(ours, Arc::clone(&writes)));
    let connection = connection.await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    (connection, writes)
}

// CONTRACT C7
#[tokio::test(start_paused = true)]
async fn a_cancelled_call_s_slot_is_not_free_while_its_reset_waits_to_be_written() {
    let told = Arc::<Told>::default();
    let (connection, writes) = failing(&told).await;
    assert!(connection.slots.take(u32::MAX));
    let Sent::Yes(response, stream) = connection.send(head(), First::None) else {
        panic!("it is open");
    };
    until(|| connection.facts.opened() == 1).await;
    writes.store(WAIT, Ordering::Release);
    drop((response, stream));
    connection.cancel_slot();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        connection.cell.wake();
    }
    assert_eq!(connection.slots.in_use(), 1, "the peer counts the stream");
    writes.store(0, Ordering::Release);
    connection.cell.wake();
    until(|| connection.slots.in_use() == 0).await;
}

// CONTRACT C20
#[tokio::test(start_paused = true)]
async fn a_connection_leaves_once_it_has_opened_as_many_streams_as_earlier_ones_were_allowed() {
    let told = Arc::<Told>::default();
    let mut plan = plan();
    plan.max_requests = plan.max_requests.went_away(64, 19).went_away(22, 19);
    let (ours, theirs) = duplex(1 << 16);
    tokio::spawn(accept(theirs));
    let connection = planned(plan, &told, ours).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut calls = Vec::new();
    for number in 1..=10 {
        assert!(connection.is_open() && !connection.is_spent(), "{number}");
        let Sent::Yes(response, stream) = connection.send(head(), First::None) else {
            panic!("call {number}");
        };
        calls.push((response, stream));
    }
    assert!(connection.is_spent());
    assert!(matches!(connection.send(head(), First::None), Sent::No(_)));
    until(|| told.leaving.load(Ordering::Acquire) == 1).await;
    assert_eq!(told.over.load(Ordering::Acquire), 0, "its calls go on");
}

// CONTRACT C16: nothing leaves any more, and the last words of the peer may still come
#[tokio::test(start_paused = true)]
async fn a_connection_whose_writes_fail_takes_no_call_and_ends_after_a_second() {
    let told = Arc::<Told>::default();
    let (connection, writes) = failing(&told).await;
    writes.store(FAIL, Ordering::Release);
    let Sent::Yes(_response, _stream) = connection.send(head(), First::None) else {
        panic!("it is not known yet");
    };
    until(|| !connection.is_open()).await;
    assert!(matches!(connection.send(head(), First::None), Sent::No(_)));
    let counts = || [&told.leaving, &told.silent, &told.over].map(|it| it.load(Ordering::Acquire));
    until(|| counts() != [0, 0, 0]).await;
    assert_eq!(counts(), [1, 0, 0], "it leaves, and is not asked");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(counts(), [1, 0, 0]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(counts(), [1, 0, 1]);
}

/// The head of a frame without a payload or with `length` bytes of it.
fn frame_head(length: u8, kind: u8, flags: u8) -> [u8; 9] {
    [0, 0, length, kind, flags, 0, 0, 0, 0]
}

// CONTRACT C1, C2
#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_before_it_is_ready_is_not_waited_for() {
    let told = Arc::<Told>::default();
    let (ours, mut theirs) = duplex(1 << 16);
    theirs.write_all(&frame_head(0, 4, 0)).await.unwrap();
    theirs.write_all(&frame_head(12, 7, 0)).await.unwrap();
    theirs.write_all(b"\0\0\0\0\0\0\0\0full").await.unwrap();
    let start = tokio::time::Instant::now();
    let error = connected_by(&told, ours).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1));
    let chain = crate::classify::display_chain(&error);
    assert!(
        chain.contains("GOAWAY") && chain.contains("full"),
        "{chain}"
    );
    assert_eq!(told.opened.load(Ordering::Acquire), 0);
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

// CONTRACT C3: what follows its loss is looked at anew once
#[tokio::test(start_paused = true)]
async fn that_a_connection_that_leaves_has_served_a_call_is_told_once() {
    let told = Arc::<Told>::default();
    let (answer, answers) = tokio::sync::mpsc::unbounded_channel::<()>();
    let connection = connected_to(&told, |io| answer_after_the_goaway(io, answers)).await;
    tokio::task::yield_now().await;
    let Sent::Yes(response, _stream) = connection.send(head(), First::None) else {
        panic!("it is open");
    };
    until(|| told.leaving.load(Ordering::Acquire) == 1).await;
    assert_eq!(told.served_late.load(Ordering::Acquire), 0);
    answer.send(()).unwrap();
    let mut body = response.await.unwrap().into_body();
    until(|| told.served_late.load(Ordering::Acquire) == 1).await;
    for _ in 0..3 {
        answer.send(()).unwrap();
        body.data().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(told.served_late.load(Ordering::Acquire), 1);
    assert_eq!(told.over.load(Ordering::Acquire), 0);
}

/// A server that goes away at its first call, and answers it as the test says.
async fn answer_after_the_goaway(
    io: DuplexStream,
    mut answers: tokio::sync::mpsc::UnboundedReceiver<()>,
) {
    let mut server = h2::server::handshake(io).await.unwrap();
    let (_, mut respond) = server.accept().await.unwrap().unwrap();
    server.graceful_shutdown();
    let answers = async {
        answers.recv().await;
        let mut stream = respond
            .send_response(http::Response::new(()), false)
            .unwrap();
        while answers.recv().await.is_some() {
            stream
                .send_data(bytes::Bytes::from_static(b"a"), false)
                .unwrap();
        }
    };
    let connection = async { while server.accept().await.is_some() {} };
    tokio::join!(answers, connection);
}

// Without its runtime a connection can't go on
#[test]
fn a_connection_is_over_with_the_runtime_that_drives_it() {
    let told = Arc::<Told>::default();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let connection = runtime.block_on(connected(&told));
    assert_eq!(told.over.load(Ordering::Acquire), 0);
    drop(runtime);
    assert_eq!(told.over.load(Ordering::Acquire), 1);
    assert!(connection.is_over());
    assert!(matches!(connection.send(head(), First::None), Sent::No(_)));
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

// CONTRACT N10: the drain timeout of a removed endpoint
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_is_over_at_once_with_its_calls() {
    let told = Arc::<Told>::default();
    let connection = connected(&told).await;
    let Sent::Yes(response, _stream) = connection.send(head(), First::None) else {
        panic!("it is open");
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = tokio::time::Instant::now();
    connection.cut();
    assert!(response.await.is_err());
    until(|| told.over.load(Ordering::Acquire) == 1).await;
    assert!(start.elapsed() < Duration::from_secs(1), "no timer ends it");
}
