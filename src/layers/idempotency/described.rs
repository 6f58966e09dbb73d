use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::call::Safety;
use crate::grpc::MethodKind;
use crate::methods::{is_method, is_of_service, matches};

use super::InvalidDescriptors;

/// The methods of the protos, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Described {
    methods: FxHashMap<String, Description>,
}

/// Kind and safety of one method, from its proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) kind: MethodKind,
    pub(super) safety: Safety,
}

impl Description {
    /// The safety that the proto states; `None` if it states none: other declarations then decide.
    pub(super) fn stated(self) -> Option<Safety> {
        Some(self.safety).filter(|safety| safety.may_repeat())
    }
}

impl Described {
    /// Adds the methods of one set or table. An equal description of a known method is accepted.
    pub(super) fn add(
        &mut self,
        methods: impl IntoIterator<Item = (String, Description)>,
    ) -> Result<(), InvalidDescriptors> {
        let mut is_empty = true;
        for (path, description) in methods {
            is_empty = false;
            self.add_one(path, description)?;
        }
        if is_empty {
            return Err(InvalidDescriptors::NoMethod);
        }
        Ok(())
    }

    fn add_one(
        &mut self,
        path: String,
        description: Description,
    ) -> Result<(), InvalidDescriptors> {
        if !is_method(&path) {
            return Err(InvalidDescriptors::Nameless(path));
        }
        match self.methods.entry(path) {
            Entry::Vacant(entry) => {
                entry.insert(description);
                Ok(())
            }
            Entry::Occupied(entry) if *entry.get() == description => Ok(()),
            Entry::Occupied(entry) => Err(InvalidDescriptors::Contradiction(entry.key().clone())),
        }
    }

    pub(super) fn get(&self, method: &str) -> Option<Description> {
        // Most layers have no descriptors: save the hash of the path.
        if self.methods.is_empty() {
            return None;
        }
        self.methods.get(method).copied()
    }

    /// Whether the pattern matches no described method.
    pub(super) fn has_none_of(&self, pattern: &str) -> bool {
        !self.methods.contains_key(pattern) && !self.paths().any(|path| matches(pattern, path))
    }

    /// Whether a method of the pattern's service is described.
    pub(super) fn covers(&self, pattern: &str) -> bool {
        self.paths().any(|path| is_of_service(pattern, path))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.methods.keys()
    }
}
