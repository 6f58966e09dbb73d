//! Which answer which call gets.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use crate::{Answer, lock::lock};

/// The answers a server gives, by call.
///
/// A call takes the first of: what is queued for its method, what is queued for any method, what is always said to its
/// method, what is said otherwise. With none of these the real handler answers.
///
/// Clones share one script, and all can change it while the server runs. Methods are paths, `/package.Service/Method`.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    queues: HashMap<String, VecDeque<Answer>>,
    any: VecDeque<Answer>,
    always: HashMap<String, Answer>,
    otherwise: Option<Answer>,
}

impl Script {
    /// A script that leaves every call to the real handler.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues answers for the next calls of `method`, one for each.
    pub fn on(&self, method: &str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        lock(&self.0)
            .queues
            .entry(method.to_owned())
            .or_default()
            .extend(answers);
        self
    }

    /// Queues an answer for the next call of any method that has no answer of its own queued.
    pub fn next(&self, answer: Answer) -> &Self {
        lock(&self.0).any.push_back(answer);
        self
    }

    /// Answers every call of `method` so, unless something is queued.
    pub fn always(&self, method: &str, answer: Answer) -> &Self {
        lock(&self.0).always.insert(method.to_owned(), answer);
        self
    }

    /// Answers every call so that nothing else in the script is for.
    pub fn otherwise(&self, answer: Answer) -> &Self {
        lock(&self.0).otherwise = Some(answer);
        self
    }

    /// How many queued answers no call has taken yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let answers = lock(&self.0);
        answers.any.len() + answers.queues.values().map(VecDeque::len).sum::<usize>()
    }

    /// Forgets all answers: from here on the real handler answers.
    pub fn clear(&self) {
        *lock(&self.0) = Answers::default();
    }

    /// The answer for a call of `method` that has just come in.
    pub(crate) fn take(&self, method: &str) -> Answer {
        let mut answers = lock(&self.0);
        answers
            .queues
            .get_mut(method)
            .and_then(VecDeque::pop_front)
            .or_else(|| answers.any.pop_front())
            .or_else(|| answers.always.get(method).cloned())
            .or_else(|| answers.otherwise.clone())
            .unwrap_or_else(Answer::handler)
    }
}
