use super::Parsed;

/// What follows `consul:`: `//agent/service?parameters`. The authority is the service.
#[cfg(feature = "consul")]
pub(super) fn consul(rest: &str) -> Result<Parsed, String> {
    use super::source::Source;
    use crate::channel::resolve::Question;

    let question = Question::parse(rest)?;
    let authority = question.service.parse().map_err(|error| {
        let service = &question.service;
        format!("the service `{service}` can be no authority: {error}")
    })?;
    Ok((Source::Consul(question), authority))
}

#[cfg(not(feature = "consul"))]
pub(super) fn consul(_: &str) -> Result<Parsed, String> {
    Err("a `consul` target needs the feature `consul` of grpc-resilience".into())
}
