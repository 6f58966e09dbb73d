//! For this crate's benches. No part of the API.

use std::sync::Arc;

use http::Request;
use tokio::time::Instant;

use super::{Call, Picker, Ready};
use crate::channel::address::Address;
use crate::channel::endpoint::ReadyEndpoint;
use crate::channel::load::Load;

/// Endpoints without connections, of which a picker chooses.
#[derive(Debug)]
pub struct Endpoints {
    all: Vec<Arc<ReadyEndpoint>>,
    head: Request<()>,
}

/// Long after all endpoints became ready, in nanoseconds.
const LATER: u64 = 1_000_000_000_000;

impl Endpoints {
    /// This number of them, with calls in flight.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let epoch = Instant::now();
        let endpoint = |number: u32| {
            let address = Address::Unix(format!("server-{number}").into());
            let endpoint = ReadyEndpoint::new(address, Load::new(epoch));
            (0..number % 3).for_each(|_| endpoint.load().begin(LATER));
            Arc::new(endpoint)
        };
        Self {
            all: (0..count).map(endpoint).collect(),
            head: Request::new(()),
        }
    }

    /// Picks one, as a call does.
    #[must_use]
    pub fn pick(&self, picker: &dyn Picker, key: &[u8]) -> usize {
        let call = Call::new(&self.head, Some(key), LATER);
        picker.pick(&Ready::new(&self.all, &[]), &call)
    }
}
