//! Carries a health watch out, on one connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::client::ResponseFuture;
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::{HeaderMap, Request};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::Answer;
use super::judge::{End, Judge, Next};
use super::message::{self, Messages};
use crate::backoff::Backoff;
use crate::channel::connection::{Connection, Unwatched};
use crate::classify;
use crate::grpc::{Code, Status};
use crate::kernel::rng::Rng;

/// What a channel asks of its servers.
#[derive(Debug)]
pub(in crate::channel) struct Check {
    /// The service; empty for the whole server.
    pub(in crate::channel) service: Arc<str>,
    /// Prepared as those of calls are.
    pub(in crate::channel) head: Request<()>,
}

impl Check {
    /// The head of a watch, which the channel prepares as it does those of its calls.
    pub(in crate::channel) fn new(
        service: Arc<str>,
        prepare: impl FnOnce(&mut Request<()>),
    ) -> Self {
        let mut head = Request::new(());
        *head.method_mut() = http::Method::POST;
        *head.uri_mut() = http::Uri::from_static(message::PATH);
        let headers = head.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        prepare(&mut head);
        Self { service, head }
    }
}

/// The health watches of one connection, one after another. Dropping it resets the stream.
#[derive(Debug)]
pub(in crate::channel) struct Watch {
    check: Arc<Check>,
    connection: Arc<Connection>,
    judge: Judge,
    rng: Rng,
    state: State,
    told: Option<Answer>,
}

#[derive(Debug)]
enum State {
    /// A watch is to begin.
    Beginning,
    Open(Stream),
    /// The next watch begins then.
    Waiting(Pin<Box<Sleep>>),
    /// The server has no health service.
    Over,
}

/// The open stream of a watch.
#[derive(Debug)]
struct Stream {
    connection: Arc<Connection>,
    response: ResponseFuture,
    body: Option<RecvStream>,
    messages: Messages,
}

enum Heard {
    Message(i32),
    End(End),
}

/// How many messages are read before other tasks have their turn.
const ROUNDS: usize = 32;

impl Watch {
    pub(in crate::channel) fn new(
        check: Arc<Check>,
        connection: Arc<Connection>,
        backoff: Arc<dyn Backoff>,
        rng: Rng,
    ) -> Self {
        Self {
            check,
            connection,
            judge: Judge::new(backoff, Instant::now()),
            rng,
            state: State::Beginning,
            told: None,
        }
    }

    pub(in crate::channel) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The next answer that differs from the last; `None` once none follows, because the
    /// connection takes no new call, or the server has no health service.
    pub(in crate::channel) async fn next(&mut self) -> Option<Answer> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        self.connection.watch_by(cx.waker());
        for _ in 0..ROUNDS {
            if !self.connection.is_open() {
                // Servers wait for the watch in their graceful stop (CONTRACT G6).
                self.state = State::Over;
            }
            let answer = match &mut self.state {
                State::Over => return Poll::Ready(None),
                _ if !self.connection.has_room_for_watch() => {
                    // With a limit of 1 it would be in the way of all calls (CONTRACT G5).
                    self.state = State::Beginning;
                    match self.news(Answer::no_room()) {
                        None => return Poll::Pending,
                        news => return Poll::Ready(news),
                    }
                }
                State::Beginning => {
                    self.begin();
                    continue;
                }
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.state = State::Beginning;
                    continue;
                }
                State::Open(stream) => match ready!(stream.poll(cx)) {
                    Heard::Message(status) => self.judge.message(status),
                    Heard::End(end) => self.ended(end),
                },
            };
            if let Some(news) = self.news(answer) {
                return Poll::Ready(Some(news));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn news(&mut self, answer: Answer) -> Option<Answer> {
        if self.told.as_ref() == Some(&answer) {
            return None;
        }
        self.told = Some(answer.clone());
        Some(answer)
    }

    fn begin(&mut self) {
        let now = Instant::now();
        let request = message::request(&self.check.service);
        self.state = match self.connection.watch(&self.check.head, request) {
            Ok(response) => {
                self.judge.begins(now);
                State::Open(Stream {
                    connection: Arc::clone(&self.connection),
                    response,
                    body: None,
                    messages: Messages::default(),
                })
            }
            // It is not open any more, and the next round says so.
            Err(Unwatched::Gone) => State::Over,
            Err(Unwatched::Held) => wait(Judge::held(now)),
        };
    }

    fn ended(&mut self, end: End) -> Answer {
        let (answer, next) = self.judge.ended(end, Instant::now(), self.rng.unit());
        self.state = match next {
            Next::At(at) => wait(at),
            Next::Never => {
                self.connection.watch_no_more();
                State::Over
            }
        };
        answer
    }
}

fn wait(at: Instant) -> State {
    State::Waiting(Box::pin(sleep_until(at)))
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let body = match &mut self.body {
            Some(body) => body,
            None => match ready!(Pin::new(&mut self.response).poll(cx)) {
                Err(error) => return Poll::Ready(Heard::End(reset(&error))),
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    if let Some((_, status)) = classify::head(head.status, &head.headers) {
                        return Poll::Ready(Heard::End(status_of(&status)));
                    }
                    if body.is_end_stream() {
                        return Poll::Ready(Heard::End(trailers_of(&head.headers)));
                    }
                    self.body.insert(body)
                }
            },
        };
        let mut last = None;
        loop {
            match body.poll_data(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(data))) => {
                    let _ = body.flow_control().release_capacity(data.len());
                    match self.messages.add(&data) {
                        Ok(status) => last = status.or(last),
                        Err(fault) => return Poll::Ready(Heard::End(malformed(fault.0))),
                    }
                }
                // A message before the end is told first: the end is found again.
                Poll::Ready(_) if last.is_some() => break,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Heard::End(reset(&error))),
                Poll::Ready(None) => return body.poll_trailers(cx).map(last_words),
            }
        }
        last.map_or(Poll::Pending, |status| Poll::Ready(Heard::Message(status)))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.watch_ended();
    }
}

/// The end that trailers tell of.
fn last_words(trailers: Result<Option<HeaderMap>, h2::Error>) -> Heard {
    Heard::End(match trailers {
        Ok(found) => trailers_of(&found.unwrap_or_default()),
        Err(error) => reset(&error),
    })
}

fn trailers_of(trailers: &HeaderMap) -> End {
    match classify::trailers(trailers) {
        Some((_, status)) => status_of(&status),
        None => End {
            code: Some(Code::Ok),
            words: Code::Ok.name().to_owned(),
        },
    }
}

fn status_of(status: &Status) -> End {
    let (code, name) = (status.code(), status.code().name());
    let words = match shortened(status.message()) {
        "" => name.to_owned(),
        message => format!("{name}: {message}"),
    };
    let code = Some(code);
    End { code, words }
}

fn reset(error: &h2::Error) -> End {
    let words = error.to_string();
    End { code: None, words }
}

fn malformed(words: &'static str) -> End {
    let words = words.to_owned();
    End { code: None, words }
}

/// Enough of a message to know it again: it is kept while the endpoint is not healthy.
fn shortened(message: &str) -> &str {
    let end = message.char_indices().nth(MOST);
    end.and_then(|(end, _)| message.get(..end))
        .unwrap_or(message)
}

const MOST: usize = 200;

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
