use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Request};

use crate::channel::endpoint::ReadyEndpoint;
use crate::channel::load::Load;

/// The endpoints of which a [`Picker`](super::Picker) chooses one, by index. See
/// [`ReadyEndpoint`] for an example.
pub struct Ready<'a> {
    all: &'a [Arc<ReadyEndpoint>],
    /// Indexes into `all` that are left out, in ascending order.
    without: &'a [usize],
}

/// The call for which a [`Picker`](super::Picker) chooses.
///
/// ```
/// use grpc_resilience::channel::pick::Shard;
///
/// // Calls of one tenant share a server.
/// let shard = Shard::by(|call| {
///     let tenant = call.headers().get("tenant-id")?;
///     tenant.to_str().ok()?.parse().ok()
/// });
/// ```
pub struct Call<'a> {
    pub(super) head: &'a Request<()>,
    pub(super) key: Option<&'a [u8]>,
    /// Nanoseconds since the channel's epoch.
    pub(super) now: u64,
}

impl<'a> Ready<'a> {
    #[inline]
    pub(crate) fn new(all: &'a [Arc<ReadyEndpoint>], without: &'a [usize]) -> Self {
        debug_assert!(without.is_sorted() && without.iter().all(|it| *it < all.len()));
        Self { all, without }
    }

    /// How many there are.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.all.len() - self.without.len()
    }

    /// Whether there is none, which a picker never sees.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of an index among all that are ready.
    #[inline]
    pub(crate) fn place(&self, index: usize) -> usize {
        let mut place = index;
        for left_out in self.without {
            if *left_out > place {
                break;
            }
            place += 1;
        }
        place
    }

    /// The endpoint at an index below [`len`](Self::len).
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a ReadyEndpoint> {
        self.all.get(self.place(index)).map(|it| &**it)
    }

    #[inline]
    pub(super) fn load(&self, index: usize) -> Option<&'a Load> {
        self.get(index).map(|it| &**it.load())
    }

    /// All of them, in the order of their indexes.
    pub fn iter(&self) -> impl Iterator<Item = &'a ReadyEndpoint> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Call<'a> {
    #[inline]
    pub(crate) fn new(head: &'a Request<()>, key: Option<&'a [u8]>, now: u64) -> Self {
        Self { head, key, now }
    }

    /// The method, such as `/orders.v1.Orders/GetOrder`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.head.uri().path()
    }

    /// The metadata of the request, as headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.head.headers()
    }

    /// The key that [`CallOptions::shard_key`](crate::call::CallOptions::shard_key) has set.
    #[must_use]
    pub fn shard_key(&self) -> Option<&'a [u8]> {
        self.key
    }
}

impl fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::channel::Address;

    /// Endpoints that became ready long ago.
    pub(crate) fn endpoints(count: usize) -> Vec<Arc<ReadyEndpoint>> {
        let epoch = Instant::now();
        let named = |number| {
            let address = Address::Unix(format!("server-{number}").into());
            Arc::new(ReadyEndpoint::new(address, Load::new(epoch)))
        };
        (0..count).map(named).collect()
    }

    /// Long after all endpoints became ready.
    pub(crate) const LATER: u64 = 1_000_000_000_000;

    pub(crate) fn head() -> Request<()> {
        Request::post("/test.v1.Echo/Unary").body(()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_left_out_has_no_index_and_the_order_stays(
            count in 1_usize..40,
            left_out in prop::collection::btree_set(0_usize..40, 0..40),
        ) {
            let all = endpoints(count);
            let left_out: Vec<usize> = left_out.into_iter().filter(|it| *it < count).collect();
            let ready = Ready::new(&all, &left_out);
            let expected: Vec<&str> = (0..count)
                .filter(|index| !left_out.contains(index))
                .map(|index| all[index].name())
                .collect();
            let names: Vec<&str> = ready.iter().map(ReadyEndpoint::name).collect();
            prop_assert_eq!(ready.len(), expected.len());
            prop_assert_eq!(names, expected);
        }
    }
}
