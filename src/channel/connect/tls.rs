use std::sync::Arc;

use arc_swap::ArcSwap;

use super::secure::Secure;
use super::{AnyConnector, Connector, Dial, Dialled};
use crate::channel::connection::Phase;

/// Makes TLS on what another connector connects.
pub(in crate::channel) struct Tls {
    inner: AnyConnector,
    current: ArcSwap<Current>,
}

struct Current {
    secure: Secure,
    generation: u64,
}

impl Tls {
    pub(in crate::channel) fn new(inner: AnyConnector, secure: Secure) -> Self {
        let current = Current {
            secure,
            generation: 0,
        };
        Self {
            inner,
            current: ArcSwap::from_pointee(current),
        }
    }

    /// Later dials use this. One task calls it.
    pub(in crate::channel) fn replace(&self, secure: Secure) {
        let generation = self.generation() + 1;
        self.current.store(Arc::new(Current { secure, generation }));
    }
}

impl Connector for Tls {
    fn connect(&self, dial: Dial) -> Dialled {
        let current = self.current.load_full();
        let io = self.inner.connect(dial.clone());
        Box::pin(async move {
            let io = io.await?;
            dial.progress.set(Phase::Tls);
            current.secure.handshake(io, &dial).await
        })
    }

    fn generation(&self) -> u64 {
        self.current.load().generation
    }
}
