//! The queue for password hashing. One password is hashed at a time, so a flood of requests must not lock others out:
//! users who are signed in come first, then sign-ins from where the person has signed in before, then others, each
//! network in turn.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::network::network;

/// Hashes at the same time: each takes a core and its memory.
const MAX_RUNNING: usize = 1;
/// Waiting requests of each of the first two kinds.
const MAX_WAITING: usize = 64;
/// Waiting sign-ins from unknown origins, all networks together.
const MAX_WAITING_UNKNOWN: usize = 32;

/// For whom a password is hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A user who is signed in or has a one-time link.
    SignedIn,
    /// A sign-in from a network or browser where this person has signed in before.
    KnownOrigin,
    /// Any other sign-in, by its address.
    UnknownOrigin(IpAddr),
}

/// The queue is full, or the place was given to another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The queue before the hasher.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    signed_in: VecDeque<Waiting>,
    known: VecDeque<Waiting>,
    unknown: HashMap<IpAddr, VecDeque<Waiting>>,
    /// Networks with waiting requests, the next one first.
    networks: VecDeque<IpAddr>,
    waiting_unknown: usize,
}

type Waiting = oneshot::Sender<Permit>;

/// The permission to hash one password, released when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    queue: Option<Arc<Queue>>,
}

impl Queue {
    /// Waits for a permit.
    pub(super) async fn enter(self: &Arc<Self>, priority: Priority) -> Result<Permit, QueueFull> {
        let answer = {
            let mut state = self.locked();
            if state.running < MAX_RUNNING {
                state.running += 1;
                return Ok(Permit { queue: Some(self.clone()) });
            }
            let (sender, answer) = oneshot::channel();
            state.push(priority, sender)?;
            answer
        };
        // A dropped sender means that the place was given to another request.
        answer.await.map_err(|_| QueueFull)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn next(self: &Arc<Self>) {
        let mut state = self.locked();
        state.running -= 1;
        while state.running < MAX_RUNNING
            && let Some(waiting) = state.pop()
        {
            match waiting.send(Permit { queue: Some(self.clone()) }) {
                Ok(()) => state.running += 1,
                // The waiting request was dropped. The permit must not be released here while the state is locked.
                Err(mut permit) => permit.queue = None,
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.next();
        }
    }
}

impl State {
    fn push(&mut self, priority: Priority, waiting: Waiting) -> Result<(), QueueFull> {
        let queue = match priority {
            Priority::SignedIn => &mut self.signed_in,
            Priority::KnownOrigin => &mut self.known,
            Priority::UnknownOrigin(ip) => {
                self.push_unknown(network(ip), waiting);
                return Ok(());
            }
        };
        queue.retain(|other| !other.is_closed());
        if queue.len() >= MAX_WAITING {
            return Err(QueueFull);
        }
        queue.push_back(waiting);
        Ok(())
    }

    /// A full queue drops the oldest request of the network with the most requests: so a flooding network displaces
    /// its own requests, and its newest still has a chance.
    fn push_unknown(&mut self, network: IpAddr, waiting: Waiting) {
        if self.waiting_unknown >= MAX_WAITING_UNKNOWN {
            let longest = self.unknown.iter().max_by_key(|(_, queue)| queue.len()).map(|(ip, _)| *ip);
            if let Some(longest) = longest {
                self.pop_of(longest);
            }
        }
        let queue = self.unknown.entry(network).or_default();
        if queue.is_empty() {
            self.networks.push_back(network);
        }
        queue.push_back(waiting);
        self.waiting_unknown += 1;
    }

    fn pop(&mut self) -> Option<Waiting> {
        if let Some(waiting) = self.signed_in.pop_front().or_else(|| self.known.pop_front()) {
            return Some(waiting);
        }
        let network = self.networks.front().copied()?;
        let waiting = self.pop_of(network)?;
        // The network moves to the end, if it has waiting requests left.
        if let Some(front) = self.networks.pop_front_if(|front| *front == network) {
            self.networks.push_back(front);
        }
        Some(waiting)
    }

    fn pop_of(&mut self, network: IpAddr) -> Option<Waiting> {
        let queue = self.unknown.get_mut(&network)?;
        let waiting = queue.pop_front();
        if waiting.is_some() {
            self.waiting_unknown -= 1;
        }
        if queue.is_empty() {
            self.unknown.remove(&network);
            self.networks.retain(|other| *other != network);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// The order in which these requests get the permit, when all wait behind one that hashes.
    async fn order(priorities: &[(&'static str, Priority)]) -> Vec<&'static str> {
        let queue = Arc::new(Queue::default());
        let first = queue.enter(Priority::SignedIn).await.unwrap();
        let order = Arc::new(Mutex::new(vec![]));
        let mut tasks = vec![];
        for (name, priority) in priorities {
            let (queue, order, name, priority) = (queue.clone(), order.clone(), *name, *priority);
            tasks.push(tokio::spawn(async move {
                if let Ok(permit) = queue.enter(priority).await {
                    order.lock().unwrap().push(name);
                    drop(permit);
                }
            }));
            // Each is in its place before the next one comes.
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        let state = queue.locked();
        assert_eq!((state.running, state.waiting_unknown, state.networks.len()), (0, 0, 0));
        order.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn known_origins_come_before_unknown_ones() {
        let priorities = [
            ("unknown", Priority::UnknownOrigin(ip(1))),
            ("known", Priority::KnownOrigin),
            ("unknown", Priority::UnknownOrigin(ip(1))),
            ("signed in", Priority::SignedIn),
        ];
        assert_eq!(order(&priorities).await, ["signed in", "known", "unknown", "unknown"]);
    }

    #[tokio::test]
    async fn each_network_has_its_turn() {
        let mut priorities = vec![("flood", Priority::UnknownOrigin(ip(1))); 100];
        priorities.push(("honest", Priority::UnknownOrigin(ip(2))));
        let order = order(&priorities).await;
        assert_eq!(order.len(), MAX_WAITING_UNKNOWN);
        assert_eq!(order[1], "honest", "{order:?}");
    }

    #[tokio::test]
    async fn the_newest_request_of_a_flood_is_not_the_one_that_is_dropped() {
        let mut priorities = vec![("old", Priority::UnknownOrigin(ip(1))); MAX_WAITING_UNKNOWN];
        priorities.push(("new", Priority::UnknownOrigin(ip(1))));
        let order = order(&priorities).await;
        assert_eq!((order.len(), order.last().copied()), (MAX_WAITING_UNKNOWN, Some("new")));
    }

    #[tokio::test]
    async fn a_dropped_request_does_not_block_others() {
        let queue = Arc::new(Queue::default());
        let first = queue.enter(Priority::SignedIn).await.unwrap();
        for priority in [Priority::SignedIn, Priority::KnownOrigin, Priority::UnknownOrigin(ip(1))] {
            let gone = tokio::spawn({
                let queue = queue.clone();
                async move { queue.enter(priority).await.map(drop) }
            });
            tokio::task::yield_now().await;
            gone.abort();
            let _ = gone.await;
        }
        let last = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(Priority::UnknownOrigin(ip(2))).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(last.await.unwrap(), Ok(()));
        assert_eq!(queue.locked().running, 0);
    }
}
