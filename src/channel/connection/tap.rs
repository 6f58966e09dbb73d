use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::allowance::{Allowance, CRUMB, Flood};
use super::facts::Facts;
use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GO_AWAY, HEADERS, PING, SETTINGS,
    name_of,
};

/// A transport with its type erased.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The client's connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// Stands between h2 and the transport, and writes down what passes.
///
/// h2 reads no further once a write has failed, so a last GOAWAY that lies unread in the socket
/// would be lost, and with it the proof that later streams were not processed. Therefore a failed
/// write counts as done here, and the connection ends with its read side.
pub(super) struct Tap {
    io: Box<dyn Io>,
    facts: Arc<Facts>,
    inbound: Frames,
    outbound: Frames,
    allowance: Allowance,
}

impl Tap {
    pub(super) fn new(io: Box<dyn Io>, facts: Arc<Facts>) -> Self {
        Self {
            io,
            inbound: Frames::after(0),
            outbound: Frames::after(PREFACE),
            allowance: Allowance::new(facts.now()),
            facts,
        }
    }

    fn took(&mut self, bytes: &[u8]) {
        let Self {
            facts,
            outbound,
            allowance,
            ..
        } = self;
        let mut opened = 0;
        outbound.pass(bytes, |frame| {
            allowance.sent(&frame);
            let ends = frame.has(END_HEADERS);
            if ends && matches!(frame.kind, HEADERS | CONTINUATION) {
                opened = opened.max(frame.stream);
            }
        });
        // Once for all frames of a write.
        if opened > 0 {
            facts.add_opened(opened);
        }
    }

    /// An error if the peer sends too much of what no call asked for.
    fn gave(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let Self {
            facts,
            inbound,
            allowance,
            ..
        } = self;
        let now = facts.now();
        allowance.refill(now);
        match facts.take_cuts() {
            0 => {}
            cuts => allowance.cut(cuts),
        }
        let mut has_news = false;
        let (mut data, mut answers) = (0, 0);
        let mut is_crumb = bytes.len() < CRUMB;
        let mut allowed = Ok(());
        inbound.pass(bytes, |frame| {
            is_crumb = false;
            allowed = allowed.and_then(|()| allowance.received(&frame));
            let is_ack = frame.has(ACK);
            match frame.kind {
                PING if is_ack => return,
                SETTINGS if !is_ack => facts.add_settings(),
                GO_AWAY => facts.add_go_away(frame.payload),
                DATA => data += frame.length,
                HEADERS => facts.add_response(frame.stream),
                _ => {}
            }
            let may_end = matches!(frame.kind, DATA | HEADERS);
            answers += u32::from(may_end && frame.has(END_STREAM));
            has_news = true;
        });
        // Once for all frames of a read.
        if data > 0 {
            facts.add_data(data);
        }
        if answers > 0 {
            facts.add_answers(answers);
        }
        facts.add_read(has_news, now);
        if is_crumb {
            allowed = allowance.crumb(inbound.kind());
        }
        allowed
    }

    /// Ends the connection: nothing more is read of it, and nothing more leaves.
    #[cold]
    fn flooded(&self, Flood(kind): Flood) -> io::Error {
        self.facts.set_flooded();
        let name = name_of(kind);
        let text = format!("the server sent a flood of {name} frames");
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    /// What becomes of a write: h2 is told that it went well, even if it failed.
    fn written(&self, written: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        self.facts.set_blocked(written.is_pending());
        let written = ready!(written).unwrap_or_else(|_| {
            self.facts.set_broken();
            offered
        });
        Poll::Ready(Ok(written))
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        let new = buf.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            // The calls fail now, and some of them for not having been sent. So nothing that h2
            // has buffered may leave after this.
            self.facts.set_broken();
        } else if let Err(flood) = self.gave(new) {
            return Poll::Ready(Err(self.flooded(flood)));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.facts.is_broken() {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = written {
            self.took(buf.get(..written).unwrap_or_default());
        }
        self.written(written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = bufs.iter().map(|it| it.len()).sum();
        if self.facts.is_broken() {
            return Poll::Ready(Ok(offered));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(mut left)) = written {
            for buf in bufs {
                let taken = left.min(buf.len());
                self.took(buf.get(..taken).unwrap_or_default());
                left -= taken;
            }
        }
        self.written(written, offered)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.facts.is_broken() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| 0);
        self.written(flushed, 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.facts.is_broken() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    fn tapped(room: usize) -> (Tap, Arc<Facts>, tokio::io::DuplexStream) {
        let (ours, theirs) = duplex(room);
        let facts = Arc::new(Facts::new(Instant::now()));
        (Tap::new(Box::new(ours), Arc::clone(&facts)), facts, theirs)
    }

    fn headers(stream: u8, flags: u8) -> [u8; 12] {
        [0, 0, 3, HEADERS, flags, 0, 0, 0, stream, b'a', b'b', b'c']
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn a_stream_counts_as_opened_once_its_last_byte_was_taken() {
        // Room for the preface, the first HEADERS and all but one byte of the second.
        let (mut tap, facts, mut theirs) = tapped(PREFACE + 12 + 11);
        tap.write_all(&[0; PREFACE]).await.unwrap();
        tap.write_all(&headers(1, END_HEADERS)).await.unwrap();
        assert_eq!(facts.opened(), 1);
        let rest = {
            let second = headers(3, END_HEADERS);
            let written = tap.write(&second).await.unwrap();
            assert_eq!((written, facts.opened()), (11, 1));
            second[written..].to_vec()
        };
        theirs.read_exact(&mut [0; PREFACE]).await.unwrap();
        tap.write_all(&rest).await.unwrap();
        assert_eq!(facts.opened(), 3);
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn headers_that_are_continued_count_with_their_end() {
        let (mut tap, facts, _theirs) = tapped(1_000);
        tap.write_all(&[0; PREFACE]).await.unwrap();
        tap.write_all(&headers(1, 0)).await.unwrap();
        assert_eq!(facts.opened(), 0);
        let mut end = headers(1, END_HEADERS);
        end[3] = CONTINUATION;
        tap.write_all(&end).await.unwrap();
        assert_eq!(facts.opened(), 1);
    }

    // CONTRACT C16: a call that was sent is never taken for one that was not
    #[tokio::test(start_paused = true)]
    async fn the_trailers_of_an_earlier_stream_take_back_no_stream_that_was_opened() {
        let (mut tap, facts, _theirs) = tapped(1_000);
        tap.write_all(&[0; PREFACE]).await.unwrap();
        tap.write_all(&headers(1, END_HEADERS)).await.unwrap();
        tap.write_all(&headers(3, END_HEADERS)).await.unwrap();
        let trailers = headers(1, END_HEADERS | END_STREAM);
        tap.write_all(&trailers).await.unwrap();
        assert_eq!(facts.opened(), 3);
    }

    // CONTRACT I4a
    #[tokio::test(start_paused = true)]
    async fn after_a_failed_write_the_last_words_of_the_peer_are_read() {
        let (mut tap, facts, mut theirs) = tapped(1_000);
        tap.write_all(&[0; PREFACE]).await.unwrap();
        theirs
            .write_all(&[0, 0, 8, GO_AWAY, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0])
            .await
            .unwrap();
        drop(theirs);
        tap.write_all(&headers(9, END_HEADERS)).await.unwrap();
        tap.flush().await.unwrap();
        assert!(facts.is_broken());
        assert_eq!(facts.opened(), 0, "it never left");
        let mut read = Vec::new();
        tap.read_to_end(&mut read).await.unwrap();
        assert_eq!(facts.go_away().map(|it| it.last), Some(7));
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_after_the_read_side_has_ended() {
        let (mut tap, facts, mut theirs) = tapped(1_000);
        tap.write_all(&[0; PREFACE]).await.unwrap();
        theirs.shutdown().await.unwrap();
        assert_eq!(tap.read(&mut [0; 9]).await.unwrap(), 0);
        tap.write_all(&headers(1, END_HEADERS)).await.unwrap();
        assert_eq!(facts.opened(), 0);
        drop(tap);
        let mut left = Vec::new();
        theirs.read_to_end(&mut left).await.unwrap();
        assert_eq!(left.len(), PREFACE);
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn of_a_vectored_write_only_the_bytes_that_were_taken_count() {
        let (mut tap, facts, _theirs) = tapped(PREFACE + 12 + 11);
        tap.write_all(&[0; PREFACE]).await.unwrap();
        let (first, second) = (headers(1, END_HEADERS), headers(3, END_HEADERS));
        let both = [IoSlice::new(&first), IoSlice::new(&second)];
        let written = tap.write_vectored(&both).await.unwrap();
        assert_eq!((written, facts.opened()), (12 + 11, 1));
    }

    // CONTRACT C16
    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_in_a_vectored_write_either_after_the_read_side_has_ended() {
        let (mut tap, facts, mut theirs) = tapped(1_000);
        theirs.shutdown().await.unwrap();
        assert_eq!(tap.read(&mut [0; 9]).await.unwrap(), 0);
        let (preface, head) = ([0; PREFACE], headers(1, END_HEADERS));
        let both = [IoSlice::new(&preface), IoSlice::new(&head)];
        let written = tap.write_vectored(&both).await.unwrap();
        assert_eq!((written, facts.opened()), (PREFACE + 12, 0));
        drop(tap);
        let mut left = Vec::new();
        theirs.read_to_end(&mut left).await.unwrap();
        assert!(left.is_empty());
    }

    /// A transport that has ended, and is never done with what it is to write.
    struct Stuck;

    impl AsyncRead for Stuck {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    // CONTRACT C16: a connection that has ended waits for nothing
    #[tokio::test(start_paused = true)]
    async fn a_transport_that_has_ended_is_not_waited_for() {
        let facts = Arc::new(Facts::new(Instant::now()));
        let mut tap = Tap::new(Box::new(Stuck), Arc::clone(&facts));
        assert_eq!(tap.read(&mut [0; 9]).await.unwrap(), 0);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut tap).poll_write(&mut cx, b"a").is_ready());
        assert!(Pin::new(&mut tap).poll_flush(&mut cx).is_ready());
        assert!(Pin::new(&mut tap).poll_shutdown(&mut cx).is_ready());
        assert!(!facts.is_blocked());
    }

    fn bare(kind: u8, flags: u8) -> [u8; 9] {
        [0, 0, 0, kind, flags, 0, 0, 0, 0]
    }

    // CONTRACT C1
    #[tokio::test(start_paused = true)]
    async fn the_acknowledgement_of_settings_is_none_of_the_peer_s_settings() {
        let (mut tap, facts, mut theirs) = tapped(1_000);
        theirs.write_all(&bare(SETTINGS, ACK)).await.unwrap();
        tap.read_exact(&mut [0; 9]).await.unwrap();
        assert_eq!(facts.settings(), 0);
        theirs.write_all(&bare(SETTINGS, 0)).await.unwrap();
        tap.read_exact(&mut [0; 9]).await.unwrap();
        assert_eq!(facts.settings(), 1);
    }

    // CONTRACT C11: while nothing but PONGs arrives, the keepalive pings every 5 minutes
    #[tokio::test(start_paused = true)]
    async fn a_pong_is_read_and_is_no_news() {
        let start = Instant::now();
        let (mut tap, facts, mut theirs) = tapped(1_000);
        for (second, flags, news) in [(1, 0, 1), (2, ACK, 1), (3, 0, 3)] {
            let second = std::time::Duration::from_secs(second);
            tokio::time::sleep_until(start + second).await;
            theirs.write_all(&bare(PING, flags)).await.unwrap();
            tap.read_exact(&mut [0; 9]).await.unwrap();
            assert_eq!(facts.read_at(), start + second);
            let news = std::time::Duration::from_secs(news);
            assert_eq!(facts.heard_at(), start + news);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_is_known() {
        let (mut tap, facts, _theirs) = tapped(10);
        tap.write_all(&[0; 10]).await.unwrap();
        assert!(!facts.is_blocked());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut tap).poll_write(&mut cx, b"a").is_pending());
        assert!(facts.is_blocked());
    }
}
