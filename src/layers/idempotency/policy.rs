use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use crate::call::Safety;
use crate::grpc::MethodKind;
use crate::methods::{
    InvalidPattern, MethodTable, check, covers, is_glob, is_method, meets, method_of,
};

use super::described::{Described, Description};
use super::{Explanation, IdempotencyKey, InvalidDescriptors, Source};

type Rule = Arc<dyn Fn(&str) -> Option<Safety> + Send + Sync>;

/// The declarations of a layer; see the [module](super) for the precedence.
#[derive(Clone, Default)]
pub(crate) struct IdempotencyPolicy {
    safety: MethodTable<Safety>,
    kinds: MethodTable<MethodKind>,
    rules: Vec<Rule>,
    keys: MethodTable<IdempotencyKey>,
    described: Described,
}

/// Safety and kind declared for a method, with their sources. Borrows, so that a call allocates
/// nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Declared<'a> {
    pub(super) safety: Option<(Safety, Origin<'a>)>,
    pub(super) kind: Option<(MethodKind, Origin<'a>)>,
    /// Whether descriptors or a table know the method.
    pub(super) is_described: bool,
}

/// A borrowed [`Source`].
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    Path,
    Glob(&'a str),
    Closure(usize),
    Key(&'a HeaderName),
    Proto,
}

impl IdempotencyPolicy {
    /// Safety and kind declared for `/package.Service/Method`, each with its source.
    #[must_use]
    pub(crate) fn explain(&self, path: &str) -> Explanation {
        let method = method_of(path);
        let said = self.find(method, self.key(method));
        let source = |origin: Option<Origin>| origin.map_or(Source::Undeclared, Source::from);
        Explanation {
            method: method.to_owned(),
            safety: said.safety.map(|(safety, _)| safety).unwrap_or_default(),
            source: source(said.safety.map(|(_, origin)| origin)),
            kind: said.kind.map(|(kind, _)| kind),
            kind_source: source(said.kind.map(|(_, origin)| origin)),
        }
    }

    /// The declaration for the method of this path: the only implementation of the precedence
    /// (CONTRACT I5). `key` is the key that the call carries.
    pub(super) fn find<'a>(&'a self, path: &str, key: Option<&'a IdempotencyKey>) -> Declared<'a> {
        // Fast path: a declared path is looked up as it is, before the method is extracted from it.
        let mut by_path = exact(&self.safety, path);
        let mut method = path;
        if by_path.is_none() {
            method = method_of(path);
            if !is_method(method) {
                return Declared::default();
            }
            by_path = exact(&self.safety, method);
        }
        let described = self.described.get(method);
        let by_key = key.and_then(IdempotencyKey::promotion);
        let by_proto = described.and_then(Description::stated);
        let kind_by_proto = described.map(|method| (method.kind, Origin::Proto));
        Declared {
            safety: by_path
                .or_else(|| self.by_glob(method))
                .or_else(|| self.by_rule(method))
                .or(by_key.map(|header| (Safety::Idempotent, Origin::Key(header))))
                .or(by_proto.map(|safety| (safety, Origin::Proto))),
            kind: exact(&self.kinds, method)
                .or_else(|| globs(&self.kinds, method).next())
                .or(kind_by_proto),
            is_described: described.is_some(),
        }
    }

    /// The key for calls of the method of this path.
    pub(super) fn key(&self, path: &str) -> Option<&IdempotencyKey> {
        self.keys.find_path(path)
    }

    /// An exception wins over every other glob, in any order of addition.
    fn by_glob(&self, method: &str) -> Option<(Safety, Origin<'_>)> {
        let first = globs(&self.safety, method).next()?;
        let is_exception = |(safety, _): &(Safety, Origin)| *safety == Safety::Unknown;
        let exception = globs(&self.safety, method).find(is_exception);
        Some(exception.unwrap_or(first))
    }

    fn by_rule(&self, method: &str) -> Option<(Safety, Origin<'_>)> {
        let mut rules = self.rules.iter().enumerate();
        rules.find_map(|(index, rule)| Some((rule(method)?, Origin::Closure(index))))
    }

    /// The described methods without a declared safety.
    pub(super) fn unannotated(&self) -> impl Iterator<Item = &String> {
        let paths = self.described.paths();
        paths.filter(|method| self.find(method, self.key(method)).safety.is_none())
    }

    /// Whether [`find`](Self::find) returns an equal result for every call of the method of this
    /// path. A closure may answer differently each time, unless a path or a glob takes precedence.
    pub(super) fn is_fixed(&self, path: &str) -> bool {
        let method = method_of(path);
        let mut by_path = [path, method].into_iter();
        let by_path = by_path.any(|path| exact(&self.safety, path).is_some());
        by_path || self.by_glob(method).is_some() || self.rules.is_empty()
    }

    /// Whether nothing is declared or described.
    pub(super) fn is_silent(&self) -> bool {
        self.safety.is_empty()
            && self.kinds.is_empty()
            && self.keys.is_empty()
            && self.rules.is_empty()
            && self.described.is_empty()
    }

    /// Whether descriptors or tables were added.
    pub(super) fn is_described(&self) -> bool {
        !self.described.is_empty()
    }

    pub(super) fn declare(&mut self, pattern: &str, safety: Safety) -> Result<(), InvalidPattern> {
        check(pattern)?;
        // A typo in the service name counts too. A later table may still describe another service.
        if safety == Safety::Unknown && self.lacks(pattern) {
            return Err(InvalidPattern::NoSuchMethod(pattern.to_owned()));
        }
        self.safety.add(pattern, safety)
    }

    /// Whether this exception matches no method, although its service is described.
    fn is_lost(&self, pattern: &str) -> bool {
        self.described.has_none_of(pattern) && self.described.covers(pattern)
    }

    /// The patterns that match no described method, with their setters.
    pub(super) fn without_method(&self) -> Vec<(&'static str, &str)> {
        let safety = self.safety.iter().map(|(pattern, safety)| {
            let setter = match safety {
                Safety::Unknown => "not_idempotent",
                Safety::Idempotent => "idempotent",
                Safety::NoSideEffects => "no_side_effects",
            };
            (setter, pattern)
        });
        let kinds = self.kinds.iter().map(|(pattern, _)| ("kind", pattern));
        let keys = self.keys.iter().map(|(pattern, _)| ("key", pattern));
        let mut all: Vec<_> = safety.chain(kinds).chain(keys).collect();
        all.retain(|(_, pattern)| self.lacks(pattern));
        all.sort_unstable();
        all
    }

    /// The globs of repeatable methods that an exception covers completely, each with that
    /// exception.
    pub(super) fn overruled(&self) -> Vec<(&str, &str)> {
        let globs = || self.safety.iter().filter(|(pattern, _)| is_glob(pattern));
        let exceptions = || globs().filter(|(_, safety)| **safety == Safety::Unknown);
        let others = globs().filter(|(_, safety)| safety.may_repeat());
        let overruled = others.filter_map(|(glob, _)| {
            let by = exceptions().find(|(exception, _)| covers(exception, glob));
            by.map(|(exception, _)| (glob, exception))
        });
        let mut all: Vec<_> = overruled.collect();
        all.sort_unstable();
        all
    }

    /// The exceptions without effect: no pattern or key makes any of their methods repeatable.
    /// Empty with closures, whose answers are unknown; with descriptors, for which
    /// [`without_method`](Self::without_method) reports; and where nothing is declared repeatable,
    /// because the exception then is meant for a retry policy that assumes repeatability.
    pub(super) fn idle_exceptions(&self) -> Vec<&str> {
        if !self.rules.is_empty() || self.is_described() {
            return Vec::new();
        }
        let (others, exceptions): (Vec<_>, Vec<_>) = self
            .safety
            .iter()
            .partition(|(_, safety)| safety.may_repeat());
        let promoting = self
            .keys
            .iter()
            .filter(|(_, key)| key.promotion().is_some());
        let others = others.into_iter().map(|(pattern, _)| pattern);
        let others: Vec<_> = others
            .chain(promoting.map(|(pattern, _)| pattern))
            .collect();
        let exceptions = exceptions.into_iter().map(|(pattern, _)| pattern);
        let mut idle: Vec<_> = exceptions
            .filter(|exception| !others.iter().any(|other| meets(exception, other)))
            .collect();
        idle.retain(|_| !others.is_empty());
        idle.sort_unstable();
        idle
    }

    /// Whether methods are described and the pattern matches none of them.
    pub(super) fn lacks(&self, pattern: &str) -> bool {
        self.is_described() && self.described.has_none_of(pattern)
    }

    pub(super) fn declare_kind(
        &mut self,
        pattern: &str,
        kind: MethodKind,
    ) -> Result<(), InvalidPattern> {
        self.kinds.add_deciding(pattern, kind)
    }

    pub(super) fn add_rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn add_key(
        &mut self,
        pattern: &str,
        key: IdempotencyKey,
    ) -> Result<(), InvalidPattern> {
        self.keys.add_deciding(pattern, key)
    }

    pub(super) fn describe(
        &mut self,
        methods: impl IntoIterator<Item = (String, Description)>,
    ) -> Result<(), InvalidDescriptors> {
        self.described.add(methods)?;
        let exceptions = self.safety.iter();
        let mut exceptions = exceptions.filter(|(_, safety)| **safety == Safety::Unknown);
        match exceptions.find(|(pattern, _)| self.is_lost(pattern)) {
            Some((pattern, _)) => Err(InvalidDescriptors::NoSuchException(pattern.to_owned())),
            None => Ok(()),
        }
    }
}

fn exact<'a, T: Copy>(table: &'a MethodTable<T>, method: &str) -> Option<(T, Origin<'a>)> {
    table.exact(method).map(|value| (*value, Origin::Path))
}

fn globs<'a, T: Copy>(
    table: &'a MethodTable<T>,
    method: &str,
) -> impl Iterator<Item = (T, Origin<'a>)> {
    table
        .globs(method)
        .map(|(glob, value)| (*value, Origin::Glob(glob)))
}

impl From<Origin<'_>> for Source {
    fn from(origin: Origin<'_>) -> Self {
        match origin {
            Origin::Path => Self::Path,
            Origin::Glob(glob) => Self::Glob(glob.to_owned()),
            Origin::Closure(index) => Self::Closure(index),
            Origin::Key(header) => Self::Key(header.clone()),
            Origin::Proto => Self::Proto,
        }
    }
}

impl fmt::Debug for IdempotencyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyPolicy")
            .field("safety", &self.safety)
            .field("kinds", &self.kinds)
            .field("rules", &self.rules.len())
            .field("keys", &self.keys)
            .field("described", &self.described)
            .finish()
    }
}
