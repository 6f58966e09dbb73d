use http::HeaderValue;
use http::uri::{Authority, Scheme};
use tokio::io::duplex;
use tokio::runtime::Handle;

use super::*;
use crate::channel::address::Address;
use crate::channel::config::Config;
use crate::channel::connect::OfService;
use crate::channel::exchange::Heads;
use crate::channel::lines::Lines;
use crate::channel::resolve::Fixed;
use crate::kernel::sync::Mutex;
use crate::ready::Bounds;

/// What a channel shares, with servers in memory that accept all connections.
fn shared() -> Arc<Shared> {
    shared_after(|_| 0)
}

/// The same; each connection is made when other tasks have run so often.
pub(super) fn shared_after(turns: fn(&Address) -> usize) -> Arc<Shared> {
    let connector = tower::service_fn(move |address: Address| async move {
        for _ in 0..turns(&address) {
            tokio::task::yield_now().await;
        }
        let (ours, theirs) = duplex(1 << 14);
        tokio::spawn(async move {
            let mut server = h2::server::handshake(theirs).await.unwrap();
            while server.accept().await.is_some() {}
        });
        Ok::<_, std::io::Error>(ours)
    });
    let heads = Heads::new(
        Scheme::HTTP,
        Authority::from_static("localhost"),
        HeaderValue::from_static("test"),
    );
    let (settings, _) = Config::default().split();
    let connector = Arc::new(OfService(Mutex::new(connector)));
    let lines = Arc::new(Lines::new(Bounds::default(), &Handle::current()));
    let runtime = Handle::current();
    Arc::new(Shared::new(settings, connector, heads, runtime, lines))
}

// Issue 22: publishing is not quadratic at 1,000 endpoints
#[tokio::test(start_paused = true)]
async fn a_thousand_endpoints_that_become_ready_are_published_in_a_few_lists() {
    let (shared, board) = (shared(), Arc::new(Board::new()));
    let addresses = (0..1_000).map(|number| Address::Unix(format!("host-{number}").into()));
    let resolver = Box::new(Fixed::new(addresses.collect()));
    let (target, connect) = ("names".into(), Connect::ToAll);
    let balancer = Balancer::new(shared, Arc::clone(&board), target, resolver, connect);
    let task = tokio::spawn(balancer);
    let mut longest = 0;
    while longest < 1_000 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        longest = board.published().ready.endpoints.len();
    }
    let lists = board.lists();
    assert!(lists <= 80, "{lists} lists");
    task.abort();
}
