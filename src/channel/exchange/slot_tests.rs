use tokio::io::DuplexStream;

use super::*;
use crate::channel::connection::tests::{Told, connected_to};

async fn accept(io: DuplexStream) {
    let mut server = h2::server::handshake(io).await.unwrap();
    while let Some(Ok(_)) = server.accept().await {}
}

// CONTRACT L3, C16: a call that a connection gives back was no call of the endpoint
#[tokio::test(start_paused = true)]
async fn a_slot_without_a_stream_leaves_nothing_in_the_load() {
    let told = Arc::<Told>::default();
    let connection = connected_to(&told, accept).await;
    assert!(connection.slots.take(u32::MAX));
    let load = &connection.load;
    let slot = Slot::taken(Arc::clone(&connection), load.now());
    assert_eq!((load.in_flight(), connection.slots.in_use()), (1, 1));
    drop(slot);
    assert_eq!((load.in_flight(), connection.slots.in_use()), (0, 0));
    assert_eq!(load.weighed(load.now()), 0, "and no failure");
}
