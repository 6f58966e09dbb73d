/// How many streams an endpoint takes on a connection, as far as its connections have shown
/// (CONTRACT C20).
///
/// Proxies end a connection after a number of requests (nginx's `keepalive_requests`) and refuse
/// what is sent beyond. Where that number is small, most of what many callers send at once is
/// refused, again and again. So after two connections in a row that refused all streams beyond the
/// same number, the next ones are replaced once they have opened that many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MaxRequests {
    /// What the last connection that refused streams had processed.
    processed: Option<u32>,
    /// The one before had processed as many.
    is_sure: bool,
}

impl MaxRequests {
    /// The id of the last stream; ids count from 1, by two.
    pub(super) fn last_stream(self) -> u32 {
        let streams = self.processed.filter(|_| self.is_sure);
        streams.map_or(u32::MAX, |it| it.saturating_mul(2).saturating_sub(1))
    }

    /// A graceful GOAWAY named this last stream on a connection that had opened this number.
    pub(crate) fn went_away(self, opened: u32, last: u32) -> Self {
        let processed = (last / 2 + last % 2).max(1);
        if opened <= processed {
            return self;
        }
        Self {
            processed: Some(processed),
            is_sure: self.processed == Some(processed),
        }
    }

    /// A connection that had opened this number of streams ended without a GOAWAY.
    pub(crate) fn ended(self, opened: u32) -> Self {
        // If it was replaced, the server saw no reason for that.
        match self.processed {
            Some(processed) if opened < processed => self,
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After two connections that processed ten streams of more.
    fn ten() -> MaxRequests {
        let max_requests = MaxRequests::default().went_away(64, 19);
        max_requests.went_away(22, 19)
    }

    // CONTRACT C20
    #[test]
    fn two_connections_that_refuse_streams_tell_how_many_the_next_one_is_sent() {
        let once = MaxRequests::default().went_away(64, 19);
        assert_eq!(once.last_stream(), u32::MAX, "it may be chance");
        assert_eq!(once.went_away(22, 19).last_stream(), 19);
        assert_eq!(once.went_away(22, 21).last_stream(), u32::MAX);
        let none = MaxRequests::default().went_away(3, 0).went_away(3, 0);
        assert_eq!(none.last_stream(), 1, "never none");
    }

    // CONTRACT C20
    #[test]
    fn a_connection_that_refuses_nothing_tells_nothing() {
        assert_eq!(ten().went_away(10, 19), ten());
        let once = MaxRequests::default().went_away(64, 19);
        assert_eq!(once.went_away(10, 19), once, "it refused none");
        let graceful = 0x7fff_ffff;
        assert_eq!(ten().went_away(12, graceful), ten());
    }

    // CONTRACT C20
    #[test]
    fn a_connection_that_ends_as_allowed_and_without_a_goaway_lifts_the_max_requests() {
        assert_eq!(ten().ended(9), ten());
        assert_eq!(ten().ended(10), MaxRequests::default());
    }
}
