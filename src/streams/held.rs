//! Which messages are handed on, and when. Pure.

use std::collections::VecDeque;

/// The default limit of messages that wait for a token: a server that sends a token every few
/// messages stays far below it.
pub(super) const MAX_HELD: usize = 10_000;

/// Measures a message in bytes.
pub(super) type SizeOf<T> = Box<dyn Fn(&T) -> usize + Send>;

/// What may wait for a token.
pub(super) struct Limits<T> {
    pub(super) items: usize,
    pub(super) bytes: Option<(usize, SizeOf<T>)>,
}

impl<T> Default for Limits<T> {
    fn default() -> Self {
        Self {
            items: MAX_HELD,
            bytes: None,
        }
    }
}

/// The messages that wait for a token.
pub(super) struct Held<T> {
    /// `None` if messages are released at once.
    limits: Option<Limits<T>>,
    items: VecDeque<T>,
    bytes: usize,
    /// The limit was passed, so messages are released at once until the next token.
    overflows: bool,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All that waited is released, this message last.
    Released,
    /// It waits.
    Waits,
    /// As `Released`, because the limit is passed: what is handed on can't be asked for again
    /// without repeating it.
    Overflows,
}

impl<T> Held<T> {
    pub(super) fn new(limits: Option<Limits<T>>) -> Self {
        Self {
            limits,
            items: VecDeque::new(),
            bytes: 0,
            overflows: false,
        }
    }

    /// Takes a message, with a token or without.
    pub(super) fn take(&mut self, item: T, has_token: bool) -> Fate {
        if let Some(limits) = &self.limits
            && let Some((_, size_of)) = &limits.bytes
        {
            self.bytes = self.bytes.saturating_add(size_of(&item));
        }
        self.items.push_back(item);
        if has_token {
            self.overflows = false;
            return Fate::Released;
        }
        match &self.limits {
            None => Fate::Released,
            Some(_) if self.overflows => Fate::Released,
            Some(limits) if self.is_within(limits) => Fate::Waits,
            Some(_) => {
                self.overflows = true;
                Fate::Overflows
            }
        }
    }

    fn is_within(&self, limits: &Limits<T>) -> bool {
        let bytes = limits.bytes.as_ref();
        self.items.len() <= limits.items && bytes.is_none_or(|(most, _)| self.bytes <= *most)
    }

    /// How many messages wait, and their bytes if they are measured.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.items.len(), self.bytes)
    }

    /// All that waits, oldest first.
    pub(super) fn release(&mut self) -> VecDeque<T> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    /// The caller chose where the next opening resumes: what follows without a token waits again.
    pub(super) fn resumes(&mut self) {
        self.overflows = false;
    }

    /// The stream ended before a token came: a stream that resumes brings these messages again.
    pub(super) fn discard(&mut self) {
        self.overflows = false;
        drop(self.release());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(items: usize, bytes: Option<usize>) -> Limits<usize> {
        let size_of: fn(&usize) -> usize = |item| *item;
        Limits {
            items,
            bytes: bytes.map(|most| (most, Box::new(size_of) as SizeOf<usize>)),
        }
    }

    /// The fates of messages, where a token stands behind those that are `true`.
    fn fates(limits: Option<Limits<usize>>, items: &[(usize, bool)]) -> Vec<(Fate, usize)> {
        let mut held = Held::new(limits);
        let take = |&(item, has_token)| {
            let fate = held.take(item, has_token);
            let released = match fate {
                Fate::Waits => 0,
                Fate::Released | Fate::Overflows => held.release().len(),
            };
            (fate, released)
        };
        items.iter().map(take).collect()
    }

    // CONTRACT S1
    #[test]
    fn without_a_limit_each_message_is_released_at_once() {
        let seen = fates(None, &[(1, false), (1, true), (1, false)]);
        assert_eq!(seen, [(Fate::Released, 1); 3]);
    }

    // CONTRACT S1
    #[test]
    fn messages_wait_until_one_of_them_has_a_token() {
        let seen = fates(
            Some(limits(5, None)),
            &[(1, false), (1, false), (1, true), (1, false)],
        );
        let (waits, released) = ((Fate::Waits, 0), (Fate::Released, 3));
        assert_eq!(seen, [waits, waits, released, waits]);
    }

    // CONTRACT S1
    #[test]
    fn past_the_limit_messages_pass_until_the_next_token() {
        let expected = [
            (Fate::Waits, 0),
            (Fate::Waits, 0),
            (Fate::Overflows, 3),
            (Fate::Released, 1),
            (Fate::Released, 1),
            (Fate::Waits, 0),
        ];
        let items = [
            (4, false),
            (4, false),
            (4, false),
            (4, false),
            (4, true),
            (4, false),
        ];
        assert_eq!(fates(Some(limits(2, None)), &items), expected);
        assert_eq!(fates(Some(limits(99, Some(8))), &items), expected);
    }

    // CONTRACT S1
    #[test]
    fn the_limit_is_that_of_what_waits_now() {
        let mut held = Held::new(Some(limits(2, Some(8))));
        for _ in 0..5 {
            assert_eq!(held.take(4, false), Fate::Waits);
            assert_eq!(held.take(4, false), Fate::Waits);
            assert_eq!(held.size(), (2, 8));
            assert_eq!(held.take(4, true), Fate::Released);
            assert_eq!(held.release().len(), 3);
            assert_eq!(held.size(), (0, 0));
        }
    }

    // CONTRACT S1
    #[test]
    fn a_place_that_the_caller_chose_ends_the_overflow() {
        let mut held = Held::new(Some(limits(1, None)));
        held.take(1, false);
        assert_eq!(held.take(2, false), Fate::Overflows);
        assert_eq!(held.release(), [1, 2]);
        held.resumes();
        assert_eq!(held.take(3, false), Fate::Waits);
        assert_eq!(held.take(4, false), Fate::Overflows);
    }

    // CONTRACT S7
    #[test]
    fn what_is_discarded_counts_no_more() {
        let mut held = Held::new(Some(limits(1, None)));
        held.take(1, false);
        assert_eq!(held.take(2, false), Fate::Overflows);
        held.discard();
        assert_eq!(held.take(3, false), Fate::Waits);
        assert_eq!(held.release(), [3]);
    }
}
