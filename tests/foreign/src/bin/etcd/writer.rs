//! Creates keys one after another, each of them once, so that each has one event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use foreign::Failure;
use foreign::over::Over;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::calls::{create_key, idempotent, ours};

pub(crate) const KEYS: &str = "watched/";
/// The first key behind all of these.
pub(crate) const END: &str = "watched0";
const PAUSE: Duration = Duration::from_millis(5);
const POLL: Duration = Duration::from_millis(10);

/// The key with this number.
fn key(number: u64) -> Vec<u8> {
    format!("{KEYS}{number}").into()
}

/// The number of a key.
pub(crate) fn number(key: &[u8]) -> Result<u64, Failure> {
    let key = str::from_utf8(key)?;
    let number = key.strip_prefix(KEYS).ok_or("another key")?;
    Ok(number.parse()?)
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    task: JoinHandle<Vec<u64>>,
}

#[derive(Default)]
struct Shared {
    is_stopped: AtomicBool,
    /// Of the last key that is known to be there.
    revision: AtomicI64,
}

impl Writer {
    pub(crate) fn start(members: &[String]) -> Result<Self, Failure> {
        let mut client = ours(Over::Ours, members, &Arc::default())?;
        let shared = Arc::<Shared>::default();
        let told = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut created = Vec::new();
            for number in 0.. {
                if told.is_stopped.load(Relaxed) {
                    break;
                }
                // One that fails may be there nonetheless.
                if let Ok(answer) = client.txn(idempotent(create_key(key(number)))).await {
                    created.push(number);
                    let header = answer.into_inner().header.unwrap_or_default();
                    told.revision.store(header.revision, Relaxed);
                }
                sleep(PAUSE).await;
            }
            created
        });
        Ok(Self { shared, task })
    }

    /// The revision of the last key, once it is above this one.
    pub(crate) async fn revision_after(&self, before: i64) -> i64 {
        loop {
            match self.shared.revision.load(Relaxed) {
                revision if revision > before => return revision,
                _ => sleep(POLL).await,
            }
        }
    }

    /// The numbers of the keys that are known to be there.
    pub(crate) async fn stop(self) -> Result<Vec<u64>, Failure> {
        self.shared.is_stopped.store(true, Relaxed);
        Ok(self.task.await?)
    }
}
