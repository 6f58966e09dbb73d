//! Processors that don't halt.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use benches::Failure;

/// Keeps the processors awake until it is dropped. A virtual one that halts takes some 50 us to wake:
/// most of what a call takes, and what a stack adds is lost in it. So a thread for each spins, in the
/// scheduling class that runs only where nothing else would.
pub(crate) struct Awake {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    /// Starts the threads; where they can't have that class they end at once, and say so.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut awake = Self {
            is_over: Arc::default(),
            threads: vec![],
        };
        for _ in 0..thread::available_parallelism()?.get() {
            let is_over = Arc::clone(&awake.is_over);
            awake.threads.push(thread::spawn(move || {
                if let Err(error) = yield_to_all() {
                    eprintln!("can't keep a processor awake, so compare ratios only: {error}");
                    return;
                }
                while !is_over.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            }));
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // What it does can't panic.
            let _ = thread.join();
        }
    }
}

/// Gives this thread the class `SCHED_IDLE`.
#[cfg(target_os = "linux")]
fn yield_to_all() -> Result<(), Failure> {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let class = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, class);
    set.map_err(|error| format!("{error:?}").into())
}

#[cfg(not(target_os = "linux"))]
fn yield_to_all() -> Result<(), Failure> {
    Err("only Linux has the scheduling class for it".into())
}
