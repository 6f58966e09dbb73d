use std::fmt;
use std::sync::Arc;

use crate::call::Safety;
use crate::grpc::{InvalidPattern, MethodKind, MethodTable};

type Rule = Arc<dyn Fn(&str) -> Option<Safety> + Send + Sync>;

/// What is declared of methods; see the [module](super) for the precedence.
#[derive(Clone, Default)]
pub struct IdempotencyPolicy {
    safety: MethodTable<Safety>,
    kinds: MethodTable<MethodKind>,
    rules: Vec<Rule>,
}

impl IdempotencyPolicy {
    /// What is declared of the safety of `/package.Service/Method`.
    #[must_use]
    pub fn safety(&self, method: &str) -> Option<Safety> {
        self.safety
            .exact(method)
            .copied()
            .or_else(|| self.by_glob(method))
            .or_else(|| self.rules.iter().find_map(|rule| rule(method)))
    }

    /// An exception wins over any wider glob, whichever was added first.
    fn by_glob(&self, method: &str) -> Option<Safety> {
        let mut said = self.safety.globs(method).copied();
        let first = said.next()?;
        let is_exception = first == Safety::Unknown || said.any(|it| it == Safety::Unknown);
        Some(if is_exception { Safety::Unknown } else { first })
    }

    /// What is declared of the kind of `/package.Service/Method`.
    #[must_use]
    pub fn kind(&self, method: &str) -> Option<MethodKind> {
        self.kinds.find(method).copied()
    }

    pub(super) fn declare(&mut self, pattern: &str, safety: Safety) -> Result<(), InvalidPattern> {
        self.safety.add(pattern, safety)
    }

    pub(super) fn declare_kind(
        &mut self,
        pattern: &str,
        kind: MethodKind,
    ) -> Result<(), InvalidPattern> {
        self.kinds.add(pattern, kind)
    }

    pub(super) fn add_rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }
}

impl fmt::Debug for IdempotencyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyPolicy")
            .field("safety", &self.safety)
            .field("kinds", &self.kinds)
            .field("rules", &self.rules.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT I5
    #[test]
    fn an_exception_wins_over_a_wider_glob_whichever_was_added_first() {
        let wide = ("/a.A/*", Safety::Idempotent);
        let exception = ("/a.A/P*", Safety::Unknown);
        for order in [[wide, exception], [exception, wide]] {
            let mut policy = IdempotencyPolicy::default();
            for (pattern, safety) in order {
                policy.declare(pattern, safety).unwrap();
            }
            assert_eq!(policy.safety("/a.A/Put"), Some(Safety::Unknown));
            assert_eq!(policy.safety("/a.A/Get"), Some(Safety::Idempotent));
            policy.declare("/a.A/Put", Safety::Idempotent).unwrap();
            assert_eq!(policy.safety("/a.A/Put"), Some(Safety::Idempotent));
        }
    }
}
