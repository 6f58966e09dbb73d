//! Connections that leave, fail, and end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU8;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::*;

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
