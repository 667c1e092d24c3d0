//! The way of calls to L1 and of answers back.

use std::sync::{Mutex, PoisonError};

use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::door::Door;
use super::effect::{Received, before_l1};
use super::fault::Fault;
use super::json_rpc::{Call, Calls, Form};
use super::log::{CallLog, Fate};
use super::reply::{Ending, Reply};
use super::rule::BROADCAST;
use super::rule_book::RuleBook;
use super::screen::{Screen, Screened};
use super::upstream::Upstream;

/// What came of a request.
#[derive(Debug)]
pub(super) enum Exchange {
    Reply(Reply),
    /// There is no answer, and the connection fails.
    Broken(Ending),
}

/// Whether a message goes on to L1 by the connection it came by.
#[derive(Debug)]
pub(super) enum Passage {
    /// As it is.
    Open,
    /// Some of its calls do; the others have their answers.
    Parted { to_l1: Bytes, answers: Exchange },
    /// It does not.
    Closed(Exchange),
}

/// All that a connection needs to know.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) l1: Upstream,
    pub(super) log: CallLog,
    pub(super) screen: Option<Screen>,
    book: Mutex<RuleBook>,
    door: watch::Sender<Door>,
    stages: watch::Sender<usize>,
}

impl Way {
    pub(super) fn new(l1: Upstream, seed: u64, screen: Option<Screen>) -> Self {
        let (log, book) = (CallLog::default(), Mutex::new(RuleBook::new(seed)));
        Self { l1, log, screen, book, door: watch::Sender::new(Door::Open), stages: watch::Sender::default() }
    }

    /// How the rules want the port.
    pub(super) fn door(&self) -> watch::Receiver<Door> {
        self.door.subscribe()
    }

    /// Stages of the script that have begun.
    pub(super) fn stages(&self) -> watch::Receiver<usize> {
        self.stages.subscribe()
    }

    /// Reads or changes the rules; the port follows.
    pub(super) fn with_book<T>(&self, act: impl FnOnce(&mut RuleBook) -> T) -> T {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut book);
        replace(&self.door, book.door());
        replace(&self.stages, book.begun());
        done
    }

    /// Notes a call and decides what it meets.
    pub(super) fn receive(&self, call: &Call) -> Received {
        self.receive_where(call, |_| true)
    }

    /// As [`Way::receive`]; a fault that does not happen here is not met.
    fn receive_where(&self, call: &Call, happens: impl Fn(&Fault) -> bool) -> Received {
        // In one step, so that calls are counted in the order in which the log has them.
        self.with_book(|book| {
            let fault = book.decide(call).filter(happens);
            let fate = fault.as_ref().map_or(Fate::UnderWay, |fault| Fate::Faulted(fault.name()));
            Received { entry: self.log.note(&call.method, fate), fault }
        })
    }

    /// Takes a request to L1 and the answer back.
    pub(super) async fn exchange(&self, body: Bytes) -> Exchange {
        // L1 itself says what it thinks of what is no JSON-RPC.
        let Some(calls) = Calls::parse(&body) else { return self.forward(body).await };
        let received: Vec<_> = calls.list.iter().map(|call| self.receive(call)).collect();
        if let Some(exchange) = before_l1(&calls, &received).await {
            return exchange;
        }
        let exchange = match self.settled_before(&calls, &received).await {
            Ok(settled) => self.ask_l1(&calls, (&received, settled), body).await,
            Err(broken) => broken,
        };
        match exchange {
            Exchange::Reply(reply) => Exchange::Reply(reply.in_manner(received.iter().find_map(Received::manner))),
            Exchange::Broken(ending) => Exchange::Broken(ending),
        }
    }

    async fn forward(&self, body: Bytes) -> Exchange {
        match self.l1.post(body).await {
            Ok((status, body)) => Exchange::Reply(Reply::new(status, body)),
            Err(_) => Exchange::Broken(Ending::End),
        }
    }

    /// For each call the answer that L1 need not be asked for any more, where there is one.
    async fn settled_before(&self, calls: &Calls, received: &[Received]) -> Result<Vec<Option<Value>>, Exchange> {
        let mut answers = Vec::new();
        for (call, received) in calls.list.iter().zip(received) {
            let answer = match (received.error_answer(call), &self.screen) {
                (None, Some(screen)) if call.method == BROADCAST => self.screened(screen, call, received).await?,
                (faulty, _) => faulty,
            };
            answers.push(answer);
        }
        Ok(answers)
    }

    /// The strict mempool's rejection, or what L1 says to what it admits; `None` for what L1 is to judge alone.
    async fn screened(&self, screen: &Screen, call: &Call, received: &Received) -> Result<Option<Value>, Exchange> {
        match screen.broadcast(&self.l1, call).await {
            Screened::NoTransaction => Ok(None),
            Screened::Admitted(answer) => {
                self.log.settle(received.entry, Fate::Answered);
                Ok(Some(received.rewritten(call, answer)))
            }
            Screened::Rejected(rejection) => {
                self.log.settle(received.entry, Fate::Rejected(rejection.message.clone()));
                Ok(Some(call.error(rejection.code, &rejection.message)))
            }
            Screened::Unanswered => {
                self.log.settle(received.entry, Fate::Unanswered);
                Err(Exchange::Broken(Ending::End))
            }
        }
    }

    /// Asks L1 what is not answered yet, and puts all answers together.
    async fn ask_l1(
        &self,
        calls: &Calls,
        (received, settled): (&[Received], Vec<Option<Value>>),
        body: Bytes,
    ) -> Exchange {
        let open = calls.list.iter().zip(&settled).filter(|(_, answer)| answer.is_none()).map(|(call, _)| call);
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return Exchange::Reply(Reply::new(200, calls.body(settled.into_iter().flatten().collect())));
        }
        let is_whole = open.len() == calls.list.len();
        let asked = if is_whole { body } else { calls.body_of(open.into_iter()) };
        let Ok((status, answer)) = self.l1.post(asked).await else {
            received.iter().for_each(|received| self.log.settle(received.entry, Fate::Unanswered));
            return Exchange::Broken(Ending::End);
        };
        received.iter().for_each(|received| self.log.settle(received.entry, Fate::Answered));
        if is_whole && !received.iter().any(Received::rewrites) {
            return Exchange::Reply(Reply::new(status, answer));
        }
        let Some(answers) = calls.answers(&answer) else { return Exchange::Reply(Reply::new(status, answer)) };
        let all = calls.list.iter().zip(settled).zip(received).filter_map(|((call, settled), received)| {
            settled.or_else(|| {
                let answer = answers.iter().find(|answer| call.is_answered_by(answer))?.clone();
                Some(received.rewritten(call, answer))
            })
        });
        Exchange::Reply(Reply::new(status, calls.body(all.collect())))
    }

    /// Whether a message goes to L1 by the connection it came by; its answer then comes back as it is.
    pub(super) async fn lets_pass(&self, calls: &Calls) -> Passage {
        let receive = |call| self.receive_where(call, |fault| !fault.is_done_to_answers());
        let received: Vec<_> = calls.list.iter().map(receive).collect();
        if let Some(exchange) = before_l1(calls, &received).await {
            return Passage::Closed(exchange);
        }
        let (mut errors, mut passing) = (Vec::new(), Vec::new());
        for (call, received) in calls.list.iter().zip(&received) {
            match received.error_answer(call) {
                Some(error) => errors.push(error),
                None => passing.push(call),
            }
            self.log.settle(received.entry, Fate::Answered);
        }
        if errors.is_empty() {
            return Passage::Open;
        }
        let answers = Exchange::Reply(Reply::new(200, calls.body(errors)));
        if passing.is_empty() {
            return Passage::Closed(answers);
        }
        Passage::Parted { to_l1: calls.body_of(passing.into_iter()), answers }
    }

    /// What becomes of a message that L1 sends by itself.
    pub(super) async fn notified(&self, message: String) -> Exchange {
        let Some(json) = serde_json::from_str::<Value>(&message).ok() else {
            return Exchange::Reply(Reply::new(200, message));
        };
        // L1's answer to a subscription is none of these.
        let Some(call) = Call::of(json.clone()) else { return Exchange::Reply(Reply::new(200, message)) };
        let received = [self.receive(&call)];
        let calls = Calls { list: vec![call], form: Form::Single };
        if let Some(exchange) = before_l1(&calls, &received).await {
            return exchange;
        }
        let [received] = received;
        self.log.settle(received.entry, Fate::Answered);
        Exchange::Reply(Reply::new(200, received.notification(json)).in_manner(received.manner()))
    }
}

/// Tells what is new, and nothing where nothing is.
fn replace<T: PartialEq>(told: &watch::Sender<T>, new: T) {
    told.send_if_modified(|now| {
        let is_new = *now != new;
        *now = new;
        is_new
    });
}
