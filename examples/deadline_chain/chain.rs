//! The chain, and one call through it.

use std::error::Error;
use std::time::Duration;

use grpc_resilience::CallOptionsExt as _;
use grpc_resilience::grpc::Code;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Status};

use crate::link::{Book, Client, Seen, client, serve};
use crate::proto::Task;

/// The caller asks A, A asks B, B asks C, and C works.
pub(crate) struct Chain {
    caller: Client,
    /// Of A, B and C.
    books: [Book; 3],
    runs: u64,
}

/// What ends a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Its deadline, so long after it was made.
    Deadline(Duration),
    /// Its caller drops it so long after it was made, long before its deadline.
    Dropped(Duration),
}

/// What became of one call.
#[derive(Debug)]
pub(crate) struct Run {
    /// A's deadline; or when the caller dropped its call to A.
    pub(crate) at: Instant,
    /// When the caller had its answer, or was rid of its call.
    pub(crate) ended: Instant,
    pub(crate) heard: Option<(Code, String)>,
    /// A, B and C; `None` is one that never heard of the call or did not stop.
    pub(crate) hops: [Option<Seen>; 3],
    pub(crate) tasks_before: usize,
    pub(crate) tasks_after: usize,
}

impl Chain {
    /// Starts three servers, and makes one call, so that the connections stand.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let (address, c) = serve(None).await?;
        let (address, b) = serve(Some(client(address)?)).await?;
        let (address, a) = serve(Some(client(address)?)).await?;
        let mut chain = Self {
            caller: client(address)?,
            books: [a, b, c],
            runs: 0,
        };
        chain.run(End::Deadline(Duration::from_millis(200))).await;
        sleep(Duration::from_millis(200)).await;
        Ok(chain)
    }

    pub(crate) async fn run(&mut self, end: End) -> Run {
        self.runs += 1;
        let tasks_before = alive();
        let mut request = Request::new(Task { run: self.runs });
        let (limit, patience) = match end {
            End::Deadline(limit) => (limit, Duration::MAX),
            End::Dropped(after) => (Duration::from_secs(60), after),
        };
        request.call_options().timeout(limit);
        let start = Instant::now();
        let answer = timeout(patience, self.caller.work(request)).await;
        let ended = Instant::now();
        let heard = answer.ok().and_then(Result::err).as_ref().map(said);
        within_a_second(|| self.hops().iter().all(Option::is_some)).await;
        within_a_second(|| alive() <= tasks_before).await;
        Run {
            at: match end {
                End::Deadline(limit) => start + limit,
                End::Dropped(_) => ended,
            },
            ended,
            heard,
            hops: self.hops(),
            tasks_before,
            tasks_after: alive(),
        }
    }

    /// What A, B and C saw of the last run.
    fn hops(&self) -> [Option<Seen>; 3] {
        self.books.each_ref().map(|book| {
            let book = book.lock();
            book.iter().find(|seen| seen.run == self.runs).cloned()
        })
    }
}

pub(crate) fn said(status: &Status) -> (Code, String) {
    (status.code().into(), status.message().to_owned())
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn within_a_second(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() && start.elapsed() < Duration::from_secs(1) {
        sleep(Duration::from_millis(1)).await;
    }
}
