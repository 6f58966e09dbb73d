use tokio::time::Instant;

use super::connectivity::Connectivity;
use super::health::Answer;
use crate::report::SharedError;

/// What the balancer has to know of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: Connectivity,
    /// How many connections were made so far, and not how many there are: while the balancer looks
    /// elsewhere, one may leave and another come.
    pub(super) made: u64,
    /// It has a connection, healthy or not.
    pub(super) is_connected: bool,
    /// Of a channel with a health check.
    pub(super) health: Option<HealthView>,
    /// Why the last dial failed, or the last connection was lost.
    pub(super) error: Option<SharedError>,
    /// A dial is under way or planned.
    pub(super) is_dialling: bool,
    /// Its last connection was closed because no call came.
    pub(super) is_at_rest: bool,
    pub(super) next_dial: Option<Instant>,
    /// When the endpoint came into this state.
    pub(super) since: Instant,
    /// How many connections received a GOAWAY.
    pub(super) go_aways: u64,
}

/// What the watches of an endpoint have found.
#[derive(Clone, Debug)]
pub(super) struct HealthView {
    pub(super) answer: Answer,
    pub(super) since: Instant,
}
