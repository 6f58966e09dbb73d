//! Hints, and messages that are too large, in each language's own words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use foreign::Failure;
use foreign::load::CallId;
use foreign::over::{Over, Sends};
use foreign::promises::Promises;
use foreign::tally::Record;
use grpc_resilience::{GiveUp, RetryPolicy};
use test_protos::EchoRequest;
use tokio::time::Instant;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request};

use crate::client::{Told, counting, streamed};
use crate::language::Language;
use crate::server::{Places, Server, Settings};

/// Far below what the retry layer keeps of a request, so that size alone rules no attempt out.
const LIMIT: usize = 64 << 10;
const TOO_LARGE: usize = 100 << 10;

/// A hint that no backoff of the default policy comes near to at the first retry.
const HINT: Duration = Duration::from_millis(400);

/// A busy machine is late.
const LATE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unary,
    ClientStream,
}

/// What the server does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// UNAVAILABLE with a `RetryInfo`, then the answer.
    RetryInfo,
    /// UNAVAILABLE with a `grpc-retry-pushback-ms`, then the answer.
    Pushback,
    /// UNAVAILABLE with a `grpc-retry-pushback-ms` of -1.
    Stop,
    /// The request is over the server's limit.
    Received,
    /// The request is over the server's limit once it is decompressed.
    Decompressed,
    /// The response is over the server's limit.
    Sent,
}

const WORDS: [Word; 6] = [
    Word::RetryInfo,
    Word::Pushback,
    Word::Stop,
    Word::Received,
    Word::Decompressed,
    Word::Sent,
];

impl Word {
    fn spoken_by(self, language: Language) -> bool {
        match (self, language) {
            // grpc-java has no limit for the messages that a server sends.
            (Self::Sent, Language::Java)
            // "Received message that decompresses to a size larger than 65536" is still retried.
            | (Self::Decompressed, Language::Node) => false,
            _ => true,
        }
    }

    /// The code that says that a message is too large.
    fn code_of_size(self, language: Language) -> Code {
        match (self, language) {
            // grpc-java decompresses as its handler parses, and takes that failure for the
            // handler's.
            (Self::Decompressed, Language::Java) => Code::Unknown,
            _ => Code::ResourceExhausted,
        }
    }

    /// The metadata that asks the server for it.
    fn asked(self) -> Option<String> {
        match self {
            Self::RetryInfo => Some(format!("retry-info {}", HINT.as_millis())),
            Self::Pushback => Some(format!("pushback {}", HINT.as_millis())),
            Self::Stop => Some("pushback -1".to_owned()),
            Self::Sent => Some(format!("large {TOO_LARGE}")),
            Self::Received | Self::Decompressed => None,
        }
    }

    fn message(self) -> EchoRequest {
        let size = match self {
            Self::Received | Self::Decompressed => TOO_LARGE,
            _ => 10,
        };
        EchoRequest {
            payload: vec![b'x'; size].into(),
            ..EchoRequest::default()
        }
    }
}

/// What became of one call.
#[derive(Debug)]
struct Ended {
    record: Record,
    sends: u64,
    begun: u32,
}

/// Makes one call of each kind for each word, declared and not.
pub(crate) async fn show(
    language: Language,
    over: Over,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let settings = Settings {
        limit: Some(LIMIT),
        ..Settings::default()
    };
    let server = Server::start(language, places, settings).await?;
    // A JVM takes its time for the first call.
    call(&server, over, Word::Pushback, Kind::Unary, Told::All).await?;
    for word in WORDS.into_iter().filter(|it| it.spoken_by(language)) {
        for kind in [Kind::Unary, Kind::ClientStream] {
            for told in [Told::All, Told::Nothing] {
                let ended = call(&server, over, word, kind, told).await?;
                let name = format!("{language} {over} {word:?} {kind:?} {}", told.name());
                println!("  {name}: {ended}");
                let holds = holds(language, word, told, &ended);
                promises.check(holds, format!("{name}: {ended}"));
            }
        }
    }
    Ok(())
}

/// A call on a channel of its own, which counts how often it is sent.
async fn call(
    server: &Server,
    over: Over,
    word: Word,
    kind: Kind,
    told: Told,
) -> Result<Ended, Failure> {
    let sends = Arc::<Sends>::default();
    let policy = RetryPolicy::new().retry_on(Code::ResourceExhausted);
    let stack = told.stack()?.retry(policy);
    let mut client = counting(over, &stack, &server.uri(), &sends)?;
    if word == Word::Decompressed {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    let (id, start) = (CallId::next(), Instant::now());
    let ended = match kind {
        Kind::Unary => client.unary(ask(word, id.request(word.message()))).await,
        Kind::ClientStream => {
            let messages = vec![word.message()];
            client
                .client_stream(ask(word, streamed(id, messages)))
                .await
        }
    };
    Ok(Ended {
        record: Record::new(id, start, &ended.map(drop)),
        sends: sends.sent(),
        begun: server.oracle()?.begun(id),
    })
}

fn ask<T>(word: Word, mut request: Request<T>) -> Request<T> {
    if let Some(asked) = word.asked().and_then(|it| it.parse().ok()) {
        request.metadata_mut().insert("x-answer", asked);
    }
    request
}

fn holds(language: Language, word: Word, told: Told, ended: &Ended) -> bool {
    let failed = ended.record.failure.as_ref();
    let failed_by_size = failed.is_some_and(|it| it.is(word.code_of_size(language)));
    let failed_with = |code, reason| failed.is_some_and(|it| it.is(code) && it.gave_up(reason));
    let once = ended.sends == 1 && ended.begun == 1;
    match (word, told) {
        (Word::RetryInfo | Word::Pushback, Told::All) => {
            let on_time = ended.record.took >= HINT && ended.record.took <= HINT + LATE;
            failed.is_none() && on_time && ended.sends == 2 && ended.begun == 2
        }
        (Word::RetryInfo | Word::Pushback, Told::Nothing) => {
            failed_with(Code::Unavailable, GiveUp::NotIdempotent) && once
        }
        (Word::Stop, _) => failed.is_some_and(|it| it.is(Code::Unavailable)) && once,
        // A unary handler does not begin before it has its request.
        (Word::Received | Word::Decompressed, _) => {
            failed_by_size && ended.sends == 1 && ended.begun <= 1
        }
        (Word::Sent, _) => failed_by_size && once,
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.record.took.as_millis();
        write!(f, "sent {}, begun {}, {took} ms, ", self.sends, self.begun)?;
        match &self.record.failure {
            Some(failed) => failed.fmt(f),
            None => f.write_str("OK"),
        }
    }
}
