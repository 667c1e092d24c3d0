//! Waiting a moment for callers who come back together.

use std::time::Duration;

use fermata_primitives::{Clock as _, SystemClock};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

/// How long nobody may come before a transaction begins without those who are missing.
const QUIET: Duration = Duration::from_micros(50);
/// How long it waits for all of them at most. Less than a flush takes.
const PATIENCE: Duration = Duration::from_micros(400);

/// Callers who were answered by one transaction tend to ask again at once. A transaction that began with the first of them
/// would make all others wait for two; so it waits for as many as were answered last, as long as they keep coming. A caller
/// alone waits for nobody.
#[derive(Default, Debug)]
pub(super) struct Linger {
    answered: usize,
}

impl Linger {
    /// Takes note of how many callers were answered together.
    pub(super) const fn answered(&mut self, callers: usize) {
        self.answered = callers;
    }

    /// What is queued next, or comes within a moment while fewer than were answered last are here. `begun` is when the first
    /// of them came.
    pub(super) fn next<T>(&self, queue: &mut Receiver<T>, here: usize, begun: Duration) -> Option<T> {
        let mut since = None;
        loop {
            match queue.try_recv() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if here == 0 || here >= self.answered => return None,
                Err(TryRecvError::Empty) => {}
            }
            let now = SystemClock.monotonic();
            let since = *since.get_or_insert(now);
            if now.saturating_sub(since) > QUIET || now.saturating_sub(begun) > PATIENCE {
                return None;
            }
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// How many of those that come, one a moment after the other, are taken.
    fn taken(linger: &Linger, coming: usize) -> usize {
        let (sender, mut queue) = mpsc::channel(coming);
        sender.try_send(()).unwrap();
        let begun = SystemClock.monotonic();
        queue.try_recv().unwrap();
        let mut here = 1;
        std::thread::scope(|scope| {
            scope.spawn(move || (1..coming).for_each(|_| sender.try_send(()).unwrap()));
            while linger.next(&mut queue, here, begun).is_some() {
                here += 1;
            }
        });
        here
    }

    #[test]
    fn a_caller_alone_waits_for_nobody_and_takes_who_is_there() {
        let (_sender, mut queue) = mpsc::channel::<()>(1);
        let alone = Linger { answered: 1 };
        assert_eq!(alone.next(&mut queue, 1, SystemClock.monotonic()), None);
    }

    #[test]
    fn those_who_were_answered_together_are_waited_for_and_no_more_than_they() {
        let together = Linger { answered: 8 };
        // The machine may be slow at any moment; once in a thousand times it is not.
        let most = (0..1_000).map(|_| taken(&together, 8)).find(|taken| *taken == 8);
        assert_eq!(most, Some(8));
    }

    #[test]
    fn somebody_who_does_not_come_back_is_not_waited_for_long() {
        let (_sender, mut queue) = mpsc::channel::<()>(1);
        let together = Linger { answered: 64 };
        assert_eq!(together.next(&mut queue, 1, SystemClock.monotonic()), None);
    }
}
