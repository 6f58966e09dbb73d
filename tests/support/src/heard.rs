//! What a server says, and what it has heard.

use crate::{Call, Script, Server};

/// What it says, and what it heard.
impl Server {
    /// What it answers. Can be changed at any time.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.layer.script
    }

    /// All calls so far, in the order they came.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.layer.log.calls()
    }

    /// The calls of one method so far, in the order they came.
    #[must_use]
    pub fn calls_to(&self, method: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.method == method);
        calls
    }

    /// How many calls came so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.layer.log.count()
    }

    /// Forgets the calls so far, also those that still run.
    pub fn clear(&self) {
        self.layer.log.clear();
    }

    /// Waits until at least `count` calls have come, and returns them all. They may still run.
    ///
    /// Waits for ever if they do not come; a test that must not puts it under a timeout.
    pub async fn wait_for_calls(&self, count: usize) -> Vec<Call> {
        self.wait_until(|calls| calls.len() >= count).await
    }

    /// Waits until the calls are as `condition` says, and returns them all.
    ///
    /// ```
    /// # async fn example(server: testing::Server) {
    /// server.wait_until(|calls| calls.iter().all(|call| call.cancelled())).await;
    /// # }
    /// ```
    pub async fn wait_until(&self, condition: impl FnMut(&[Call]) -> bool) -> Vec<Call> {
        self.layer.log.wait_until(condition).await
    }
}
