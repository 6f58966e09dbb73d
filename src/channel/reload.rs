//! Follows the TLS settings of a channel.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connect::{PeerName, Secure, Tls, TlsConfig};
use super::connectivity::Connectivity;
use super::core::Core;
use crate::events;

/// Settings that may change.
pub(super) struct Reload {
    configs: watch::Receiver<TlsConfig>,
    peer: PeerName,
    /// The faults of the newest settings, if those before them are used on.
    faults: Option<String>,
}

impl Reload {
    pub(super) fn new(configs: watch::Receiver<TlsConfig>, peer: PeerName) -> Self {
        Self {
            configs,
            peer,
            faults: None,
        }
    }

    /// Follows them until the channel ends, or no more can come.
    pub(super) fn start(mut self, tls: Arc<Tls>, core: &Arc<Core>, runtime: &Handle) {
        let mut states = core.board.states();
        let core = Arc::downgrade(core);
        runtime.spawn(async move {
            while let Some(config) = self.next(&mut states).await {
                let Some(secure) = self.read(config).await else {
                    continue;
                };
                tls.replace(secure);
                // One that is dialled from now on has them; those there are, are replaced.
                let Some(core) = Weak::upgrade(&core) else {
                    return;
                };
                core.renew();
            }
        });
    }

    /// The next settings; `None` if the channel is closed, or the sender is gone.
    async fn next(&mut self, states: &mut watch::Receiver<Connectivity>) -> Option<TlsConfig> {
        let is_changed = {
            let mut changed = pin!(self.configs.changed());
            // An error says that the channel is gone.
            let mut ended = pin!(states.wait_for(|state| *state == Connectivity::Shutdown));
            poll_fn(|cx| {
                if ended.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                changed.as_mut().poll(cx).map(|changed| changed.is_ok())
            })
            .await
        };
        is_changed.then(|| self.configs.borrow_and_update().clone())
    }

    /// `None`, and one event per cause, if they are of no use.
    async fn read(&mut self, config: TlsConfig) -> Option<Secure> {
        let peer = self.peer.clone();
        // The roots of the operating system are files.
        let read = tokio::task::spawn_blocking(move || Secure::new(&config, &peer));
        let faults = match read.await {
            Ok(Ok(secure)) => {
                self.faults = None;
                return Some(secure);
            }
            Ok(Err(faults)) => faults.join("; "),
            // The runtime ends.
            Err(error) if error.is_cancelled() => return None,
            Err(error) => error.to_string(),
        };
        if self.faults.as_ref() != Some(&faults) {
            events::tls_config_refused(&faults);
            self.faults = Some(faults);
        }
        None
    }
}
