use crate::classify::Endpoint;

/// What the earlier attempts of a call have shown about endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Earlier {
    failed_at: Vec<Endpoint>,
    leader: Option<Endpoint>,
}

impl Earlier {
    #[cfg(feature = "channel")]
    pub(crate) const NONE: &Self = &Self {
        failed_at: Vec::new(),
        leader: None,
    };

    /// An attempt arrived at this endpoint and failed, and its answer may have named the leader.
    pub(super) fn add(&mut self, endpoint: &Endpoint, leader: Option<Endpoint>) {
        if !self.failed_at.contains(endpoint) {
            self.failed_at.push(endpoint.clone());
        }
        // The last answer counts: leaders change. A server that names itself as it refuses has
        // not yet, or no longer, the office.
        self.leader = leader.filter(|leader| leader != endpoint);
    }

    /// The endpoints at which attempts of the call failed (CONTRACT L2).
    #[cfg(feature = "channel")]
    pub(crate) fn failed_at(&self) -> &[Endpoint] {
        &self.failed_at
    }

    /// The endpoint that the last answer named as the leader (CONTRACT E6).
    #[cfg(feature = "channel")]
    pub(crate) fn leader(&self) -> Option<&Endpoint> {
        self.leader.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        Endpoint::new(name.into())
    }

    // CONTRACT E6, L2
    #[test]
    #[cfg(feature = "channel")]
    fn the_last_answer_names_the_leader_and_an_endpoint_that_refuses_is_none() {
        let (a, b) = (endpoint("a"), endpoint("b"));
        let mut earlier = Earlier::NONE.clone();
        for (failed_at, named, leader) in [
            (&a, Some(&b), Some(&b)),
            (&b, Some(&a), Some(&a)),
            (&a, Some(&a), None),
            (&a, Some(&b), Some(&b)),
            (&b, None, None),
        ] {
            earlier.add(failed_at, named.cloned());
            assert_eq!(earlier.leader(), leader, "{failed_at} names {named:?}");
        }
        assert_eq!(earlier.failed_at(), [a, b], "each one once");
    }
}
