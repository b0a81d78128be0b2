//! Work that is submitted, asked after and fetched.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Jobs of one vendor by id; the oldest are forgotten beyond [`CAPACITY`].
#[derive(Debug)]
pub(crate) struct Jobs<T> {
    held: Mutex<VecDeque<Job<T>>>,
}

/// Most jobs (or uploads, or objects) that one store keeps.
pub(crate) const CAPACITY: usize = 256;

/// How far a job is. It moves by being asked after, so that tests see every state and need no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Submitted, never asked after.
    Queued,
    /// Asked after once.
    Running,
    /// Asked after twice or more.
    Done,
    /// Failed by script.
    Failed,
}

#[derive(Debug)]
struct Job<T> {
    id: String,
    polls: u32,
    failed: bool,
    content: T,
}

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
        }
    }
}

impl<T: Clone> Jobs<T> {
    /// Takes a job in; `false`, and nothing done, if the id is taken. With `failed` its end is [`Stage::Failed`].
    pub(crate) fn submit(&self, id: &str, content: T, failed: bool) -> bool {
        let mut held = self.held.lock();
        if held.iter().any(|job| job.id == id) {
            return false;
        }
        if held.len() >= CAPACITY {
            held.pop_front();
        }
        held.push_back(Job {
            id: id.to_owned(),
            polls: 0,
            failed,
            content,
        });
        true
    }

    /// Asks after a job: the first time it is running, from the second on done (or failed).
    pub(crate) fn poll(&self, id: &str) -> Option<(Stage, T)> {
        let mut held = self.held.lock();
        let job = held.iter_mut().find(|job| job.id == id)?;
        job.polls = job.polls.saturating_add(1);
        Some((job.stage(), job.content.clone()))
    }

    /// A job as it is, without asking after it.
    pub(crate) fn peek(&self, id: &str) -> Option<(Stage, T)> {
        let held = self.held.lock();
        let job = held.iter().find(|job| job.id == id)?;
        Some((job.stage(), job.content.clone()))
    }

    /// All jobs with their ids, the newest first, without asking after them.
    pub(crate) fn all(&self) -> Vec<(String, Stage, T)> {
        let held = self.held.lock();
        let newest = held.iter().rev();
        newest
            .map(|job| (job.id.clone(), job.stage(), job.content.clone()))
            .collect()
    }

    /// Makes a job end in [`Stage::Failed`].
    pub(crate) fn fail(&self, id: &str) {
        if let Some(job) = self.held.lock().iter_mut().find(|job| job.id == id) {
            job.failed = true;
        }
    }

    /// Forgets a job.
    pub(crate) fn remove(&self, id: &str) -> Option<T> {
        let mut held = self.held.lock();
        let at = held.iter().position(|job| job.id == id)?;
        held.remove(at).map(|job| job.content)
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.held.lock().clear();
    }
}

impl<T> Job<T> {
    fn stage(&self) -> Stage {
        match (self.polls, self.failed) {
            (0, _) => Stage::Queued,
            (1, _) => Stage::Running,
            (_, false) => Stage::Done,
            (_, true) => Stage::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_moves_by_being_asked_after() {
        let jobs = Jobs::default();
        assert!(jobs.submit("a", 7, false));
        assert!(!jobs.submit("a", 8, false), "the id is taken");
        assert_eq!(jobs.peek("a"), Some((Stage::Queued, 7)));
        assert_eq!(jobs.poll("a"), Some((Stage::Running, 7)));
        assert_eq!(jobs.poll("a"), Some((Stage::Done, 7)));
        jobs.fail("a");
        assert_eq!(jobs.peek("a"), Some((Stage::Failed, 7)));
        assert_eq!(jobs.remove("a"), Some(7));
        assert_eq!(jobs.poll("a"), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let jobs = Jobs::default();
        for number in 0..=CAPACITY {
            jobs.submit(&number.to_string(), (), false);
        }
        assert!(jobs.peek("0").is_none() && jobs.peek("1").is_some());
    }
}
