use std::fmt;
use std::sync::Arc;

use crate::call::Safety;
use crate::grpc::MethodKind;

use super::InvalidPattern;
use super::table::MethodTable;

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
            .find(method)
            .or_else(|| self.rules.iter().find_map(|rule| rule(method)))
    }

    /// What is declared of the kind of `/package.Service/Method`.
    #[must_use]
    pub fn kind(&self, method: &str) -> Option<MethodKind> {
        self.kinds.find(method)
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
