//! Many undeclared calls over this crate's channel, which nothing may lose or begin twice.

use std::fmt;
use std::time::Duration;

use foreign::load::{CallId, Load};
use foreign::oracle::Oracle;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::Tally;
use foreign::{Failure, hand_loop};
use grpc_resilience::channel::Channel;
use grpc_resilience::{Resilience, Resilient};
use test_protos::{EchoClient, EchoRequest};
use tonic::Status;

use crate::case::Case;

/// Half of them make unary calls, half of them client streams. The client has no descriptors.
const CALLERS: u32 = 64;

/// A call that takes longer was held up.
const HELD_UP: Duration = Duration::from_millis(250);

/// The most calls, of all, that ageing may hold up beyond those that are held up without it.
const HELD_UP_SHARE: f64 = 0.000_1;

type Client = EchoClient<Resilient<Channel>>;

/// Makes this number of calls to a server or proxy on this port.
pub(crate) async fn make(calls: u64, port: u16) -> Result<Tally, Failure> {
    let channel = Channel::builder(format!("ipv4:127.0.0.1:{port}")).build()?;
    let stack = Resilience::new().default_timeout(hand_loop::TIMEOUT);
    let client = EchoClient::new(stack.wrap(channel));
    let (unary, streams) = (client.clone(), client);
    let load = Load::new(CALLERS / 2).calls(calls / 2);
    let unary = load.start(move |id| unary_call(unary.clone(), id));
    let streams = load.start(move |id| client_stream(streams.clone(), id));
    Ok(unary.finish().await?.and(streams.finish().await?))
}

fn message(id: CallId) -> EchoRequest {
    EchoRequest {
        text: id.to_string(),
        ..EchoRequest::default()
    }
}

async fn unary_call(mut client: Client, id: CallId) -> Result<(), Status> {
    let answer = client.unary(id.request(message(id))).await?;
    answered(id, &answer.into_inner().text)
}

async fn client_stream(mut client: Client, id: CallId) -> Result<(), Status> {
    let messages = tokio_stream::iter([message(id), message(id), message(id)]);
    let answer = client.client_stream(id.request(messages)).await?;
    answered(id, &answer.into_inner().text)
}

fn answered(id: CallId, text: &str) -> Result<(), Status> {
    if text == id.to_string() {
        return Ok(());
    }
    Err(Status::internal(format!("wrong answer: {text:?}")))
}

/// Holds the calls of each case to the promises, and compares it with the one without ageing.
pub(crate) struct Storms {
    table: Table,
    held_up: Vec<(&'static str, usize)>,
}

impl Storms {
    pub(crate) fn new() -> Self {
        Self {
            table: Table::new(HELD_UP),
            held_up: Vec::new(),
        }
    }

    pub(crate) fn check(
        &mut self,
        case: &Case,
        tally: &Tally,
        begun: &Oracle,
        promises: &mut Promises,
    ) {
        let name = format!("{}, storm over ours", case.name);
        self.table.add(&name, tally, Some(begun));
        let (calls, failures) = (tally.calls(), tally.failures());
        promises.check(
            failures.is_empty(),
            format!("{name}: of {calls} calls failed {failures:?}"),
        );
        let twice = begun.twice(tally);
        promises.check(twice.is_empty(), format!("{name}: begun twice: {twice:?}"));
        let unseen = begun.unseen(tally);
        promises.check(
            unseen.is_empty(),
            format!("{name}: no beginning: {unseen:?}"),
        );
        self.check_held_up(&name, case, tally, promises);
    }

    fn check_held_up(&mut self, name: &str, case: &Case, tally: &Tally, promises: &mut Promises) {
        let (found, calls) = (tally.over(HELD_UP), tally.calls());
        if case.is_plain() {
            self.held_up.push((case.proxy, found));
            return;
        }
        let plain = self.held_up.iter().find(|it| it.0 == case.proxy);
        // `--only` may leave out the case without ageing.
        let plain = plain.map_or(0, |it| it.1);
        #[expect(clippy::cast_precision_loss, reason = "counts of calls made here")]
        let holds = found as f64 <= plain as f64 + calls as f64 * HELD_UP_SHARE;
        promises.measure(
            holds,
            format!("{name}: {found} of {calls} calls were held up, {plain} without ageing"),
        );
    }
}

impl fmt::Display for Storms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}
