use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;

use http::HeaderName;
use twox_hash::XxHash64;

use super::random::below;
use super::{Call, Picker, Ready};
use crate::kernel::rng;

/// Picks the same endpoint for the same key, by rendezvous hashing.
///
/// Each endpoint has a rank for each key, by a hash of both (`XXH64`), and the call goes to the
/// highest one that is ready. So an endpoint that leaves gives its keys to all others, and takes
/// them back when it returns; a new one takes its share and moves no other key. Clients with the
/// same addresses agree. A call without a key goes to any endpoint.
///
/// A pick looks at all endpoints, at about 25 instructions each.
///
/// ```
/// use grpc_resilience::call::CallOptionsExt;
/// use grpc_resilience::channel::pick::Shard;
/// use http::HeaderName;
///
/// // By the key that the caller sets:
/// let by_option = Shard::new();
/// let mut request = tonic::Request::new(());
/// request.call_options().shard_key("customer-7");
/// // By metadata:
/// let by_metadata = Shard::by_metadata(HeaderName::from_static("customer-id"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Shard {
    key: Key,
}

type KeyOf = dyn Fn(&Call<'_>) -> Option<u64> + Send + Sync;

#[derive(Clone, Default)]
enum Key {
    #[default]
    Option,
    Metadata(HeaderName),
    Of(Arc<KeyOf>),
}

impl Shard {
    /// The key is that of [`CallOptions::shard_key`](crate::call::CallOptions::shard_key).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The key is the value of this metadata; several values count as one, joined by commas (gRFC
    /// A76).
    #[must_use]
    pub fn by_metadata(name: HeaderName) -> Self {
        Self {
            key: Key::Metadata(name),
        }
    }

    /// The key is a number, such as a hash, which this finds in the call.
    #[must_use]
    pub fn by(key: impl Fn(&Call<'_>) -> Option<u64> + Send + Sync + 'static) -> Self {
        Self {
            key: Key::Of(Arc::new(key)),
        }
    }
}

impl Key {
    fn hash(&self, call: &Call<'_>) -> Option<u64> {
        match self {
            Self::Option => Some(XxHash64::oneshot(0, call.key?)),
            Self::Metadata(name) => {
                let mut values = call.headers().get_all(name).iter();
                let first = values.next()?;
                let mut hash = XxHash64::with_seed(0);
                hash.write(first.as_bytes());
                for value in values {
                    hash.write(b",");
                    hash.write(value.as_bytes());
                }
                Some(hash.finish())
            }
            Self::Of(key) => key(call),
        }
    }
}

impl Picker for Shard {
    fn pick(&self, ready: &Ready<'_>, call: &Call<'_>) -> usize {
        match self.key.hash(call) {
            Some(key) => highest(ready, mixed(key)),
            None => below(rng::bits() >> 32, ready.len()),
        }
    }
}

fn highest(ready: &Ready<'_>, key: u64) -> usize {
    let ranks = ready.iter().map(|it| mixed(it.hash() ^ key));
    let best = ranks.enumerate().max_by_key(|(_, rank)| *rank);
    best.map_or(0, |(index, _)| index)
}

/// All bits of the number, spread over all bits (the last step of `SplitMix64`).
#[inline]
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option => f.write_str("the option shard_key"),
            Self::Metadata(name) => write!(f, "the metadata {name}"),
            Self::Of(_) => f.write_str("a function"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ready::tests::{LATER, endpoints, head};
    use super::*;

    const KEYS: u32 = 20_000;

    /// The endpoint of each key, by name.
    fn owners<'a>(ready: &Ready<'a>) -> Vec<&'a str> {
        let head = head();
        let owner = |key: u32| {
            let key = format!("user-{key}");
            let call = Call::new(&head, Some(key.as_bytes()), LATER);
            ready.get(Shard::new().pick(ready, &call)).unwrap().name()
        };
        (0..KEYS).map(owner).collect()
    }

    // CONTRACT L5
    #[tokio::test(start_paused = true)]
    async fn keys_spread_evenly_and_a_new_endpoint_takes_its_share_and_moves_no_other() {
        let all = endpoints(6);
        let five = owners(&Ready::new(&all[..5], &[]));
        let count = |endpoint: &str| five.iter().filter(|it| **it == endpoint).count();
        let most = all[..5].iter().map(|it| count(it.name())).max().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "20,000 keys")]
        let ratio = most as f64 * 5.0 / f64::from(KEYS);
        assert!(ratio <= 1.10, "{ratio}");
        let six = owners(&Ready::new(&all, &[]));
        let moved: Vec<_> = six.iter().zip(&five).filter(|(a, b)| a != b).collect();
        assert!(moved.iter().all(|(to, _)| **to == all[5].name()));
        assert!(moved.len() * 100 <= KEYS as usize * 19, "{}", moved.len());
        println!("max/mean {ratio:.3}, moved {} of {KEYS}", moved.len());
    }

    proptest! {
        // CONTRACT L5
        #[test]
        fn an_endpoint_that_is_not_ready_gives_its_keys_to_the_next_by_rank(
            key: u64,
            count in 2_usize..30,
        ) {
            let (all, head) = (endpoints(count), head());
            let shard = Shard::by(move |_| Some(key));
            let call = Call::new(&head, None, LATER);
            let mut left_out = Vec::new();
            let mut ranks = Vec::new();
            while left_out.len() < count {
                let ready = Ready::new(&all, &left_out);
                let place = ready.place(shard.pick(&ready, &call));
                prop_assert!(!left_out.contains(&place));
                ranks.push(mixed(all[place].hash() ^ mixed(key)));
                left_out.push(place);
                left_out.sort_unstable();
            }
            prop_assert!(ranks.is_sorted_by(|a, b| a > b));
        }
    }

    // CONTRACT L5
    #[tokio::test(start_paused = true)]
    async fn the_key_comes_from_metadata_too_and_a_call_without_one_goes_anywhere() {
        let all = endpoints(50);
        let ready = Ready::new(&all, &[]);
        let shard = Shard::by_metadata(HeaderName::from_static("user-id"));
        let picked = |values: &[&str]| {
            let mut head = head();
            for value in values {
                head.headers_mut().append("user-id", value.parse().unwrap());
            }
            shard.pick(&ready, &Call::new(&head, None, LATER))
        };
        assert_eq!(picked(&["a"]), picked(&["a"]));
        assert_eq!(picked(&["a", "b"]), picked(&["a,b"]));
        let others = ["b", "c", "d", "e", "f", "g"];
        assert!(others.iter().any(|it| picked(&[it]) != picked(&["a"])));
        let keyless: std::collections::BTreeSet<usize> = (0..100).map(|_| picked(&[])).collect();
        assert!(keyless.len() > 10, "{keyless:?}");
    }
}
