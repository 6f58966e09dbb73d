use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

use crate::channel::resolve::ResolveError;

/// The answer for the records of one family of addresses.
#[derive(Clone, Debug)]
pub(in crate::channel::resolve) enum Answer {
    Addresses {
        ips: Vec<IpAddr>,
        ttl: Duration,
    },
    /// The name exists, without such a record.
    NoData,
    /// NXDOMAIN.
    NoName,
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(in crate::channel::resolve) struct Failure {
    text: Arc<str>,
    source: Option<(io::ErrorKind, String)>,
    /// No server was heard.
    is_unheard: bool,
}

/// The answers for both families.
#[derive(Clone, Debug)]
pub(in crate::channel::resolve) struct Answers {
    pub(super) v6: Answer,
    pub(super) v4: Answer,
}

/// The last addresses of each family. While one of the families fails, its last addresses stay
/// (CONTRACT N2): a lost answer for AAAA does not remove half of the servers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    v6: Vec<IpAddr>,
    v4: Vec<IpAddr>,
}

impl Answers {
    pub(super) fn both(answer: Answer) -> Self {
        Self {
            v6: answer.clone(),
            v4: answer,
        }
    }

    pub(super) fn has_address(&self) -> bool {
        self.each(|it| matches!(it, Answer::Addresses { .. }))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.each(|it| matches!(it, Answer::Failed(_)))
    }

    /// A question was not answered, so the next name of a search list would be a guess.
    pub(super) fn is_unheard(&self) -> bool {
        self.each(|it| matches!(it, Answer::Failed(failure) if failure.is_unheard))
    }

    fn each(&self, is_so: impl Fn(&Answer) -> bool) -> bool {
        is_so(&self.v6) || is_so(&self.v4)
    }
}

impl Memory {
    /// The addresses of a name, and for how long they are good.
    pub(super) fn read(
        &mut self,
        name: &str,
        answers: Answers,
    ) -> Result<(Vec<IpAddr>, Duration), ResolveError> {
        let Answers { v6, v4 } = answers;
        let has_no_name = |it: &Answer| matches!(it, Answer::NoName);
        // NXDOMAIN is for all types of records.
        let is_gone = (has_no_name(&v6) || has_no_name(&v4))
            && ![&v6, &v4]
                .iter()
                .any(|it| matches!(it, Answer::Addresses { .. }));
        if is_gone {
            *self = Self::default();
            let answered = "the DNS server knows no such name (NXDOMAIN)";
            return Err(ResolveError::no_address(name, answered));
        }
        let mut failure = None;
        let mut ttl: Option<Duration> = None;
        for (answer, last) in [(v6, &mut self.v6), (v4, &mut self.v4)] {
            match answer {
                Answer::Addresses { ips, ttl: its } => {
                    *last = ips;
                    ttl = Some(ttl.map_or(its, |ttl| ttl.min(its)));
                }
                Answer::NoData | Answer::NoName => last.clear(),
                Answer::Failed(its) => failure = Some(its),
            }
        }
        match (ttl, failure) {
            (Some(ttl), _) => Ok((self.v6.iter().chain(&self.v4).copied().collect(), ttl)),
            (None, Some(failure)) => Err(failure.into_error(name)),
            (None, None) => {
                let answered = "the DNS server has no A and no AAAA record for it";
                Err(ResolveError::no_address(name, answered))
            }
        }
    }
}

impl Failure {
    fn heard(text: impl Into<Arc<str>>) -> Self {
        Self {
            text: text.into(),
            source: None,
            is_unheard: false,
        }
    }

    fn unheard(text: &str) -> Self {
        Self {
            is_unheard: true,
            ..Self::heard(text)
        }
    }

    fn into_error(self, name: &str) -> ResolveError {
        let error = ResolveError::new(name, self.text);
        match self.source {
            Some((kind, text)) => error.with_source(io::Error::new(kind, text)),
            None => error,
        }
    }
}

/// Records were found; maybe none of this family.
pub(super) fn found(ips: Vec<IpAddr>, ttl: u32) -> Answer {
    if ips.is_empty() {
        return Answer::NoData;
    }
    Answer::Addresses {
        ips,
        ttl: Duration::from_secs(ttl.into()),
    }
}

pub(super) fn failed(error: &NetError) -> Answer {
    let failure = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => return Answer::NoName,
            // A server that refers to others and has no SOA record does not say that there is none.
            ResponseCode::NoError if none.ns.is_some() && none.soa.is_none() => {
                Failure::heard("the DNS server refers to others and does not ask them")
            }
            ResponseCode::NoError => return Answer::NoData,
            code => refused(code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => refused(*code),
        NetError::Timeout => Failure::unheard("the DNS server does not answer"),
        NetError::NoConnections => Failure::unheard("there is no connection to a DNS server"),
        NetError::Io(cause) => Failure {
            source: Some((cause.kind(), cause.to_string())),
            ..Failure::unheard("the DNS server can't be asked")
        },
        other => Failure::heard(format!("the question to the DNS server failed: {other}")),
    };
    Answer::Failed(failure)
}

fn refused(code: ResponseCode) -> Failure {
    // `SERVFAIL` and `REFUSED`, as all tools write them.
    let code = format!("{code:?}").to_uppercase();
    Failure::heard(format!("the DNS server answers {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ips: &[&str], ttl: u64) -> Answer {
        Answer::Addresses {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            ttl: Duration::from_secs(ttl),
        }
    }

    fn servfail() -> Answer {
        failed(&NetError::Dns(DnsError::ResponseCode(
            ResponseCode::ServFail,
        )))
    }

    /// Each row: the answers for AAAA and A, and the addresses with their TTL, or the error.
    fn run(rows: Vec<(Answer, Answer, &str)>) {
        let mut memory = Memory::default();
        for (number, (v6, v4, expected)) in rows.into_iter().enumerate() {
            let text = match memory.read("a", Answers { v6, v4 }) {
                Ok((ips, ttl)) => {
                    let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
                    format!("{} for {} s", ips.join(" "), ttl.as_secs())
                }
                Err(error) if error.is_authoritative() => "gone".into(),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected, "row {number}");
        }
    }

    // CONTRACT N6
    #[test]
    fn both_families_count_together_with_the_shorter_ttl() {
        run(vec![
            (
                addresses(&["::1"], 60),
                addresses(&["10.0.0.1"], 30),
                "::1 10.0.0.1 for 30 s",
            ),
            (
                addresses(&["::1"], 20),
                addresses(&["10.0.0.1"], 30),
                "::1 10.0.0.1 for 20 s",
            ),
            (
                Answer::NoData,
                addresses(&["10.0.0.1"], 30),
                "10.0.0.1 for 30 s",
            ),
            (addresses(&["::1"], 60), Answer::NoName, "::1 for 60 s"),
        ]);
    }

    // CONTRACT N2
    #[test]
    fn a_family_that_fails_keeps_its_last_addresses() {
        run(vec![
            (
                servfail(),
                addresses(&["10.0.0.1"], 30),
                "10.0.0.1 for 30 s",
            ),
            (
                addresses(&["::1"], 60),
                addresses(&["10.0.0.1"], 30),
                "::1 10.0.0.1 for 30 s",
            ),
            (
                servfail(),
                addresses(&["10.0.0.2"], 30),
                "::1 10.0.0.2 for 30 s",
            ),
            (
                Answer::NoData,
                addresses(&["10.0.0.2"], 30),
                "10.0.0.2 for 30 s",
            ),
            (
                servfail(),
                addresses(&["10.0.0.2"], 30),
                "10.0.0.2 for 30 s",
            ),
        ]);
    }

    // CONTRACT N2
    #[test]
    fn that_a_name_is_gone_needs_an_answer_for_it() {
        let failed = "a was not resolved: the DNS server answers SERVFAIL";
        run(vec![
            (Answer::NoName, Answer::NoName, "gone"),
            (Answer::NoData, Answer::NoData, "gone"),
            (Answer::NoName, servfail(), "gone"),
            (Answer::NoData, servfail(), failed),
            (servfail(), Answer::NoData, failed),
            (servfail(), servfail(), failed),
        ]);
    }

    #[test]
    fn each_error_of_the_resolver_has_its_words() {
        let io = Arc::new(io::Error::other("network unreachable"));
        for (error, is_unheard, expected) in [
            (
                NetError::Timeout,
                true,
                "a was not resolved: the DNS server does not answer",
            ),
            (
                NetError::Io(io),
                true,
                "a was not resolved: the DNS server can't be asked",
            ),
            (
                NetError::NoConnections,
                true,
                "a was not resolved: there is no connection to a DNS server",
            ),
            (
                NetError::Busy,
                false,
                "a was not resolved: the question to the DNS server failed: resource too busy",
            ),
            (
                NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)),
                false,
                "a was not resolved: the DNS server answers REFUSED",
            ),
        ] {
            let Answer::Failed(failure) = failed(&error) else {
                panic!("{error}");
            };
            assert_eq!(failure.is_unheard, is_unheard, "{error}");
            assert_eq!(failure.into_error("a").to_string(), expected);
        }
    }
}
