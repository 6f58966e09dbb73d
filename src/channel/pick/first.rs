use super::{Call, Connect, Picker, Ready};

/// Connects to the first endpoint that can be reached, and to no other.
///
/// The addresses are tried in the resolver's order, those of IPv6 and IPv4 in turn. The next one is
/// tried when one has failed, or has not answered within 250 ms; the first that is ready gets all
/// calls, and the other dials end (gRFC A61, RFC 8305). Once all have failed, the backoff begins,
/// and after it the next pass, from the first again.
///
/// A connection that is lost is replaced at once, from the first address on, whether or not calls
/// come; gRPC's `pick_first` waits for a call. A new set of addresses keeps the connection if its
/// address is among them.
///
/// ```
/// use grpc_resilience::channel::pick::PickFirst;
///
/// let in_order = PickFirst::new();
/// let any_order = PickFirst::new().shuffle_address_list(true);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PickFirst {
    shuffle: bool,
}

impl PickFirst {
    /// Tries the addresses in the resolver's order.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether each set of addresses is tried in a random order, so that many clients of one list
    /// do not all use its first server (gRFC A62). Default: off.
    #[must_use]
    pub fn shuffle_address_list(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }
}

impl Picker for PickFirst {
    /// There is one at most.
    #[inline]
    fn pick(&self, _ready: &Ready<'_>, _call: &Call<'_>) -> usize {
        0
    }

    fn connect(&self) -> Connect {
        Connect::ToFirst {
            shuffle: self.shuffle,
        }
    }
}
