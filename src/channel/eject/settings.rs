use std::time::Duration;

use super::rules::{Rate, Rules};
use crate::error::Faults;

/// When an endpoint that fails calls is left out, and for how long: gRPC's outlier detection,
/// Envoy's outlier detection, finagle's failure accrual. It is on by default.
///
/// An endpoint is ejected by one of two rules, and only while another ready endpoint fails at most
/// a third as often: where all fail, none is to blame (CONTRACT O1, O2).
///
/// | failed call | [`consecutive_failures`] | [`failure_percentage`] |
/// |---|---|---|
/// | UNAVAILABLE, DATA_LOSS | counts | counts |
/// | a lost connection, once however many calls were on it | counts | counts |
/// | an attempt timeout of this crate | counts | counts |
/// | INTERNAL: the request may be poisonous | no | counts |
/// | RESOURCE_EXHAUSTED, a refused stream, a cancelled call, a GOAWAY without an error | no | no |
///
/// Any other code is an answer of the application, and shows that the endpoint works.
///
/// An ejected endpoint keeps its connections, and gets only calls that name it. Then one call
/// decides: a declared one, which a retry can repeat elsewhere, or any call if none came
/// within 10 s. If it is answered, the endpoint is back, and a [`LeastLoaded`] picker gives it its
/// whole share within 2 s; if it fails, the endpoint is out again, for twice as long.
///
/// Each ejection, probe and return is an INFO event with the numbers that decided, and
/// [`EndpointSnapshot`] shows them. If all ready endpoints fail or are ejected, all are used, which
/// is an event too. A channel that connects to one address only, by [`PickFirst`], ejects none.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use grpc_resilience::channel::{Channel, Ejection};
/// use std::time::Duration;
///
/// let ejection = Ejection::new()
///     .consecutive_failures(3)
///     .max_ejection_time(Duration::from_secs(30))
///     .max_ejection_percent(25);
/// let channel = Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051")
///     .ejection(ejection)
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// [`consecutive_failures`]: Self::consecutive_failures
/// [`failure_percentage`]: Self::failure_percentage
/// [`LeastLoaded`]: crate::channel::pick::LeastLoaded
/// [`PickFirst`]: crate::channel::pick::PickFirst
/// [`EndpointSnapshot`]: crate::channel::EndpointSnapshot
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Ejection {
    consecutive_failures: Option<u32>,
    failure_percentage: Option<u32>,
    request_volume: u32,
    base_ejection_time: Duration,
    max_ejection_time: Duration,
    max_ejection_percent: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            failure_percentage: Some(20),
            request_volume: 20,
            base_ejection_time: Duration::from_secs(1),
            max_ejection_time: Duration::from_secs(60),
            max_ejection_percent: 50,
        }
    }
}

impl Ejection {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of failures in a row that ejects an endpoint. Default: 5, as in Envoy and
    /// finagle: five calls find a server that is down.
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = Some(failures);
        self
    }

    /// Failures in a row alone eject no endpoint.
    pub fn no_consecutive_failures(mut self) -> Self {
        self.consecutive_failures = None;
        self
    }

    /// Ejects an endpoint if more than this percentage of its calls failed in the last 10 s, of at
    /// least [`request_volume`](Self::request_volume) calls. 1 to 99. Default: 20, as finagle has
    /// it; gRPC's 85 (gRFC A50) finds an endpoint only once it is down.
    ///
    /// The calls of these 10 s that went well count, so that the failures of an endpoint that
    /// worked until now take a while to be more than 20 %. If 30 % of its calls fail, a new
    /// endpoint is out as soon as the volume is there, at 100 calls a second within half a second;
    /// one that worked for 2 s is out after 4 s, and one that worked for 10 s or longer after 6 to
    /// 7 s; at 50 % after 4 s. One that fails all of its calls breaks the rule of
    /// [`consecutive_failures`](Self::consecutive_failures), unless they fail with INTERNAL: then
    /// it is out after 2 s.
    pub fn failure_percentage(mut self, percent: u32) -> Self {
        self.failure_percentage = Some(percent);
        self
    }

    /// The percentage of failures alone ejects no endpoint.
    pub fn no_failure_percentage(mut self) -> Self {
        self.failure_percentage = None;
        self
    }

    /// The least number of calls in the last 10 s before
    /// [`failure_percentage`](Self::failure_percentage) can eject an endpoint. Default: 20, because
    /// a percentage of fewer calls says little.
    pub fn request_volume(mut self, calls: u32) -> Self {
        self.request_volume = calls;
        self
    }

    /// How long the first ejection lasts, up to 20 % more or less; each further one lasts twice as
    /// long. Ten seconds in the set without an ejection forget one. Default: 1 s (gRPC: 30 s),
    /// because one call then finds out whether the endpoint is well, and not all calls do.
    pub fn base_ejection_time(mut self, time: Duration) -> Self {
        self.base_ejection_time = time;
        self
    }

    /// The longest time that an ejection lasts, up to 20 % more or less. Default: 60 s (gRPC:
    /// 300 s), after which one call costs little.
    pub fn max_ejection_time(mut self, time: Duration) -> Self {
        self.max_ejection_time = time;
        self
    }

    /// The largest part of the endpoints that may be ejected at a time, in percent, 1 to 100, of
    /// those that were ever connected. Of two or more, one may go in any case, and the last ready
    /// one never. One that is down takes no place: it gets no call anyway. Default: 50 (gRPC: 10),
    /// because the others have to carry the load.
    pub fn max_ejection_percent(mut self, percent: u32) -> Self {
        self.max_ejection_percent = percent;
        self
    }

    pub(crate) fn rules(&self) -> Rules {
        let rate = self.failure_percentage.map(|percent| Rate {
            percent,
            calls: self.request_volume,
        });
        Rules {
            in_a_row: self.consecutive_failures,
            rate,
            base: self.base_ejection_time,
            longest: self.max_ejection_time,
            most_percent: self.max_ejection_percent,
        }
    }

    pub(in crate::channel) fn check(&self, faults: &mut Faults) {
        for (setter, number) in [
            ("consecutive_failures", self.consecutive_failures),
            ("request_volume", Some(self.request_volume)),
        ] {
            faults.check(setter, number != Some(0), || {
                "it must be greater than zero".into()
            });
        }
        let percent = self.failure_percentage.unwrap_or(1);
        faults.check("failure_percentage", (1..=99).contains(&percent), || {
            format!("{percent} %: more than 1 to 99 % of the calls can fail")
        });
        let most = self.max_ejection_percent;
        faults.check("max_ejection_percent", (1..=100).contains(&most), || {
            format!("{most} %: 1 to 100 % of the endpoints can be ejected")
        });
        let (base, longest) = (self.base_ejection_time, self.max_ejection_time);
        faults.check("base_ejection_time", !base.is_zero(), || {
            "it must be longer than zero".into()
        });
        faults.check("max_ejection_time", longest >= base, || {
            format!("{longest:?} is shorter than the base_ejection_time of {base:?}")
        });
        let has_rule = self.consecutive_failures.is_some() || self.failure_percentage.is_some();
        faults.check("ejection", has_rule, || {
            "both rules are off: use `no_ejection` on the channel's builder".into()
        });
    }
}
