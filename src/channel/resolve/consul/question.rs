use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::consul::AgentAddress;

/// What a target `consul://agent/service?..` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::channel) struct Question {
    pub(super) agent: AgentAddress,
    pub(in crate::channel) service: Arc<str>,
    /// The service with its parameters, for errors.
    pub(super) shown: Arc<str>,
    /// The service and the parameters of each query.
    path: String,
    wait: Duration,
}

const FORM: &str = "write `consul://agent:8500/service`, or `consul:///service` for the agent at \
    127.0.0.1:8500";
const PARAMETERS: &str = "`tag`, `dc`, `near`, `ns`, `filter`, `passing`, `stale`, `consistent` \
    and `wait`";
const WAIT: Duration = Duration::from_secs(300);
/// Consul waits no longer.
const MOST_WAIT: Duration = Duration::from_secs(600);
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// For the way there and back, and for an agent with much to do.
const SLACK: Duration = Duration::from_secs(10);

impl Question {
    /// Reads what follows `consul:`; an error in words.
    pub(in crate::channel) fn parse(rest: &str) -> Result<Self, String> {
        let rest = rest.strip_prefix("//").ok_or(FORM)?;
        let (agent, shown) = rest.split_once('/').ok_or(FORM)?;
        let agent = AgentAddress::parse(agent)?;
        let (service, parameters) = shown.split_once('?').unwrap_or((shown, ""));
        let service = decoded(service)?;
        if service.is_empty() || service.contains('/') {
            return Err(FORM.into());
        }
        let mut read = Parameters::default();
        for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(decoded(value)?)),
                None => (parameter, None),
            };
            read.add(name, value)?;
        }
        let (query, wait) = read.query()?;
        Ok(Self {
            agent,
            path: format!("/v1/health/service/{}?{query}", escaped(&service)),
            service: service.into(),
            shown: shown.into(),
            wait,
        })
    }

    /// The path of the query that is answered at once, or by the first change after an index.
    pub(super) fn path(&self, index: Option<u64>) -> String {
        match index {
            Some(index) => {
                let wait = self.wait.as_millis();
                format!("{}&index={index}&wait={wait}ms", self.path)
            }
            None => self.path.clone(),
        }
    }

    /// The most that an answer takes: servers add up to a sixteenth to a wait, so that not all
    /// clients come back together.
    pub(super) fn limit(&self, index: Option<u64>) -> Duration {
        match index {
            Some(_) => self.wait + self.wait / 16 + SLACK,
            None => SLACK,
        }
    }
}

#[derive(Default)]
struct Parameters {
    /// In Consul's own words.
    given: Vec<(&'static str, Option<String>)>,
    passing: Option<bool>,
    wait: Option<Duration>,
}

impl Parameters {
    fn add(&mut self, name: &str, value: Option<String>) -> Result<(), String> {
        match name {
            "tag" => self.value("tag", value, true),
            "dc" => self.value("dc", value, false),
            "near" => self.value("near", value, false),
            "ns" => self.value("ns", value, false),
            "filter" => self.value("filter", value, false),
            "stale" => self.flag("stale", value.is_some()),
            "consistent" => self.flag("consistent", value.is_some()),
            "passing" => {
                let passing = match value.as_deref() {
                    None | Some("1" | "true") => true,
                    Some("0" | "false") => false,
                    Some(_) => return Err("`passing` is `true` or `false`".into()),
                };
                once("passing", self.passing.replace(passing).is_some())
            }
            "wait" => {
                let wait = value.as_deref().and_then(duration).ok_or_else(|| {
                    format!(
                        "`wait` is a time from {LEAST_WAIT:?} to {MOST_WAIT:?}, as `30s` or `5m`"
                    )
                })?;
                once("wait", self.wait.replace(wait).is_some())
            }
            // It would stand in events and errors, with the rest of the target.
            "token" => Err(
                "a token is no part of a target, which is shown: give it to \
                            `consul_token`"
                    .into(),
            ),
            _ => Err(format!(
                "`{name}` is no parameter of a Consul target; they are {PARAMETERS}"
            )),
        }
    }

    fn value(
        &mut self,
        name: &'static str,
        value: Option<String>,
        is_several: bool,
    ) -> Result<(), String> {
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| format!("`{name}` needs a value"))?;
        if !is_several {
            once(name, self.has(name))?;
        }
        self.given.push((name, Some(value)));
        Ok(())
    }

    fn flag(&mut self, name: &'static str, has_value: bool) -> Result<(), String> {
        if has_value {
            return Err(format!("`{name}` takes no value"));
        }
        once(name, self.has(name))?;
        self.given.push((name, None));
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    fn query(&self) -> Result<(String, Duration), String> {
        if self.has("stale") && self.has("consistent") {
            return Err("`stale` and `consistent` exclude each other".into());
        }
        let mut query = String::new();
        if self.passing.unwrap_or(true) {
            query.push_str("passing=1");
        }
        for (name, value) in &self.given {
            query.push('&');
            query.push_str(name);
            if let Some(value) = value {
                query.push('=');
                query.push_str(&escaped(value));
            }
        }
        Ok((query, self.wait.unwrap_or(WAIT)))
    }
}

fn once(name: &str, is_again: bool) -> Result<(), String> {
    if is_again {
        return Err(format!("`{name}` stands twice"));
    }
    Ok(())
}

fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let (digits, millis) = units
        .into_iter()
        .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
    // `parse` alone takes a sign, too.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    let duration = Duration::from_millis(number.checked_mul(millis)?);
    (LEAST_WAIT..=MOST_WAIT)
        .contains(&duration)
        .then_some(duration)
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "a Consul target is UTF-8")?;
    Ok(decoded.into_owned())
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(rest: &str) -> String {
        Question::parse(rest).unwrap().path(None)
    }

    // CONTRACT N7
    #[test]
    fn a_target_becomes_the_path_of_a_query() {
        for (rest, expected) in [
            ("///orders", "orders?passing=1"),
            ("//agent/orders", "orders?passing=1"),
            (
                "//agent:8500/orders?tag=blue&tag=v1.2&dc=eu",
                "orders?passing=1&tag=blue&tag=v1%2E2&dc=eu",
            ),
            (
                "///orders?near=_agent&ns=a&stale",
                "orders?passing=1&near=%5Fagent&ns=a&stale",
            ),
            ("///orders?consistent", "orders?passing=1&consistent"),
            ("///orders?passing", "orders?passing=1"),
            ("///orders?passing=false&tag=a", "orders?&tag=a"),
            (
                "///orders?filter=Service.Meta.version%20%3D%3D%202%26&tag=a+b",
                "orders?passing=1&filter=Service%2EMeta%2Eversion%20%3D%3D%202%26&tag=a%2Bb",
            ),
            ("///a%2Db", "a%2Db?passing=1"),
        ] {
            let expected = format!("/v1/health/service/{expected}");
            assert_eq!(path(rest), expected, "{rest}");
        }
    }

    // CONTRACT N7
    #[test]
    fn a_wait_is_5_min_and_its_http_timeout_a_sixteenth_and_10_s_more() {
        for (rest, wait, limit) in [
            ("///orders", "300000ms", 328_750),
            ("///orders?wait=10m", "600000ms", 647_500),
            ("///orders?wait=16s", "16000ms", 27_000),
            ("///orders?wait=1000ms", "1000ms", 11_062),
        ] {
            let question = Question::parse(rest).unwrap();
            let path = question.path(Some(7));
            assert!(path.ends_with(&format!("&index=7&wait={wait}")), "{path}");
            assert_eq!(question.limit(Some(7)).as_millis(), limit);
            assert_eq!(question.limit(None).as_millis(), 10_000);
        }
    }

    // CONTRACT N1, N7
    #[test]
    fn what_is_no_target_is_an_error() {
        for (rest, words) in [
            ("orders", "write `consul://agent:8500/service`"),
            ("//agent", "write `consul://agent:8500/service`"),
            ("//agent/", "write `consul://agent:8500/service`"),
            ("///a/b", "write `consul://agent:8500/service`"),
            ("//agent:0/orders", "`agent:0` is no address"),
            ("///orders?tags=a", "`tags` is no parameter"),
            ("///orders?tag", "`tag` needs a value"),
            ("///orders?tag=", "`tag` needs a value"),
            ("///orders?dc=a&dc=b", "`dc` stands twice"),
            ("///orders?stale=true", "`stale` takes no value"),
            ("///orders?stale&stale", "`stale` stands twice"),
            ("///orders?stale&consistent", "exclude each other"),
            ("///orders?passing=2", "`passing` is `true` or `false`"),
            ("///orders?passing&passing=0", "`passing` stands twice"),
            ("///orders?wait=0s", "`wait` is a time from 1s to 600s"),
            ("///orders?wait=11m", "`wait` is a time"),
            ("///orders?wait=999ms", "`wait` is a time"),
            ("///orders?wait=5", "`wait` is a time"),
            ("///orders?wait=+5s", "`wait` is a time"),
            ("///orders?wait=s", "`wait` is a time"),
            ("///orders?wait=5s&wait=5s", "`wait` stands twice"),
            ("///orders?tag=%ff", "is UTF-8"),
        ] {
            let error = Question::parse(rest).unwrap_err();
            assert!(error.contains(words), "{rest}: {error}");
        }
    }

    // CONTRACT N7
    #[test]
    fn a_token_in_a_target_is_refused_and_not_repeated() {
        for rest in [
            "///orders?token=s3cret",
            "//user:s3cret@agent/orders",
            "///orders?tag=a&token=s3cret",
        ] {
            let error = Question::parse(rest).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
