use tokio::io::DuplexStream;

use super::*;
use crate::channel::connection::tests::{Told, connected_to};

async fn accept(io: DuplexStream) {
    let mut server = h2::server::handshake(io).await.unwrap();
    while let Some(Ok(_)) = server.accept().await {}
}

async fn slot() -> (Arc<Connection>, Slot) {
    let told = Arc::<Told>::default();
    let connection = connected_to(&told, accept).await;
    assert!(connection.slots.take(u32::MAX));
    let slot = Slot::taken(Arc::clone(&connection), connection.load.now());
    assert_eq!(connection.load.in_flight(), 1);
    (connection, slot)
}
