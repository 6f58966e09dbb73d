//! Random faults, from a seed: what is provably unprocessed succeeds, and nothing runs twice.

use http_body_util::{BodyExt as _, Collected};
use peer::{Connection, LastStream, Peer, Reason, SeenStream, Step, Stream};

use super::super::common::{channel, request_of};
use super::{Client, Sent, policy};

const CALLS: usize = 200;
/// So many calls at once share a connection.
const ABREAST: usize = 4;
/// More than a connection lives to see.
const STREAMS: usize = 100;
/// More than all calls use up.
const CONNECTIONS: usize = 100;

/// What meets one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    AboveGoaway,
    /// The application has run, and the answer is lost.
    ResetLate,
    ClosedLate,
}

impl Fate {
    fn script(self) -> Stream {
        let last = match self {
            Self::Answered => return Stream::ok(b"done"),
            Self::Refused => return Stream::refuse(),
            Self::AboveGoaway => Step::GoAway(LastStream::Below, Reason::NO_ERROR),
            Self::ResetLate => Step::Reset(Reason::INTERNAL_ERROR),
            Self::ClosedLate => Step::Close,
        };
        Stream::from([Step::AwaitRequest, last])
    }
}

/// `SplitMix64`: the same rolls on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn fate(&mut self) -> Fate {
        match self.roll(20) {
            0..=11 => Fate::Answered,
            12..=15 => Fate::Refused,
            16 => Fate::AboveGoaway,
            17..=18 => Fate::ResetLate,
            _ => Fate::ClosedLate,
        }
    }
}

/// What each stream of each connection meets.
struct Fates(Vec<Vec<Fate>>);

impl Fates {
    fn roll(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut connection = || (0..STREAMS).map(|_| dice.fate()).collect();
        Self((0..CONNECTIONS).map(|_| connection()).collect())
    }

    fn connections(&self) -> impl Iterator<Item = Connection> {
        self.0
            .iter()
            .map(|fates| Connection::new().streams(fates.iter().copied().map(Fate::script)))
    }

    /// Whether the application may have seen the request, by what was sent for it and for the
    /// streams before it on its connection.
    fn may_have_run(&self, stream: &SeenStream) -> bool {
        let index = usize::try_from(stream.id / 2).unwrap();
        let Some(fates) = self.0.get(stream.connection) else {
            return true;
        };
        let upto = fates.iter().take(index + 1);
        let goaway = upto.clone().any(|fate| *fate == Fate::AboveGoaway);
        let refused = fates.get(index) == Some(&Fate::Refused);
        stream.complete && !refused && !goaway
    }
}

/// One call, as it ended and as it went.
struct Ended {
    name: Vec<u8>,
    succeeded: bool,
    sent: Vec<Sent>,
}

async fn call(client: Client, name: Vec<u8>) -> Ended {
    let answer = client.send(request_of(&name)).await;
    let body = match answer {
        Ok(answer) => answer.into_body().collect().await.ok(),
        Err(_) => None,
    };
    let trailers = body.as_ref().and_then(Collected::trailers);
    let status = trailers.and_then(|trailers| trailers.get("grpc-status"));
    Ended {
        name,
        succeeded: status.is_some_and(|status| status == "0"),
        sent: client.sent(),
    }
}

/// All calls, some at once.
async fn all(client: &Client) -> Vec<Ended> {
    let mut ended = Vec::new();
    let names: Vec<_> = (0..CALLS)
        .map(|call| format!("call {call}").into_bytes())
        .collect();
    for group in names.chunks(ABREAST) {
        let calls = group
            .iter()
            .map(|name| tokio::spawn(call(client.apart(), name.clone())));
        for call in calls.collect::<Vec<_>>() {
            ended.push(call.await.unwrap());
        }
    }
    ended
}

// CONTRACT I1, I2, I4
#[tokio::test(start_paused = true)]
async fn under_random_faults_no_undeclared_call_runs_twice_and_the_unprocessed_ones_succeed() {
    for seed in 1..=5 {
        let fates = Fates::roll(seed);
        let peer = Peer::start(fates.connections()).await;
        let client = Client::new(channel(&peer), policy(20));
        let ended = all(&client).await;
        let seen = peer.streams_seen();
        for Ended {
            name,
            succeeded,
            sent,
        } in &ended
        {
            let shown = String::from_utf8_lossy(name);
            let of_call = |stream: &&SeenStream| stream.body.get(5..) == Some(name);
            let ran = seen
                .iter()
                .filter(of_call)
                .filter(|stream| fates.may_have_run(stream));
            assert!(ran.count() <= 1, "seed {seed}: {shown} ran twice: {sent:?}");

            let (last, others) = sent.split_last().unwrap();
            assert!(
                others.iter().all(Sent::is_unprocessed),
                "seed {seed}: {shown}: {sent:?}"
            );
            assert!(
                *succeeded || !last.is_unprocessed(),
                "seed {seed}: {shown}: {sent:?}"
            );
        }
        // The seed did throw what this test is about.
        let repeated = |ended: &&Ended| ended.succeeded && ended.sent.len() > 1;
        assert!(ended.iter().filter(repeated).count() > CALLS / 10);
        assert!(ended.iter().any(|ended| !ended.succeeded));
    }
}
