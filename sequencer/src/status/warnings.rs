//! What somebody should look at before it costs a slot.

use std::fmt;
use std::time::Duration;

use fermata_primitives::UnixTime;

use super::{BackendStatus, InFlightTx, PublisherStatus, SendingStatus, Warning};
use crate::amount::ether;
use crate::span::words;

/// L1 slots behind its deadline after which a transaction that is in no block holds its account up: a cancel has had its
/// chances by then.
const STUCK_AFTER: u32 = 8;

/// The time of L1, as its last head tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct L1Time {
    /// The head's timestamp.
    pub(crate) now: UnixTime,
    /// Time between two blocks.
    pub(crate) slot: Duration,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.says, self.remedy)
    }
}

impl Warning {
    pub(crate) fn new(says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { says: says.into(), remedy: remedy.into() }
    }
}

impl SendingStatus {
    /// With the warnings about it and about these accounts.
    #[must_use]
    pub(crate) fn judged(mut self, accounts: &[&PublisherStatus], l1: L1Time) -> Self {
        let of_accounts = accounts.iter().flat_map(|account| self.of_account(account, l1));
        let of_nodes = self.no_backend().into_iter().chain(self.of_other_chains());
        let of_all = of_nodes.chain(self.dry_funder()).chain(self.waiting_at_ceiling());
        self.warnings = of_all.chain(of_accounts).collect();
        self
    }

    fn no_backend(&self) -> Option<Warning> {
        let rest = self.backends.iter().filter(|backend| backend.rests).count();
        if rest == 0 || rest < self.backends.len() {
            return None;
        }
        let error = self.backends.iter().find_map(|backend| backend.last_error.as_deref()).unwrap_or("no answer");
        let says = format!("no L1 node takes transactions: {rest} of {rest} did not answer ({error})");
        Some(Warning::new(says, "check l1.rpc_url and l1.send_urls"))
    }

    fn of_other_chains(&self) -> Vec<Warning> {
        let told = |backend: &BackendStatus| {
            let says = format!("{} serves chain {}, and is handed nothing", backend.name, backend.other_chain?);
            Some(Warning::new(says, "correct it in l1.send_urls"))
        };
        self.backends.iter().filter_map(told).collect()
    }

    fn dry_funder(&self) -> Option<Warning> {
        let funder = self.funder.as_ref()?;
        let (address, balance) = (funder.account.address, funder.account.balance_wei?);
        let (has, needs) = (ether(balance), ether(funder.needed_wei));
        let says = format!("the funder {address} has {has}, and needs {needs} to top up every publisher");
        (balance < funder.needed_wei).then(|| Warning::new(says, format!("send ETH to {address}")))
    }

    fn waiting_at_ceiling(&self) -> Vec<Warning> {
        let at_ceiling = self.waiting.iter().filter(|waiting| waiting.at_ceiling);
        at_ceiling.filter_map(|waiting| Some(blocked(&waiting.label, waiting.reason.as_ref()?))).collect()
    }

    fn of_account(&self, account: &PublisherStatus, l1: L1Time) -> Vec<Warning> {
        let at_ceiling = account.in_flight.iter().filter_map(|tx| Some(blocked(&tx.label, tx.ceiling.as_ref()?)));
        // Nobody follows what is in flight while nothing runs: the next start does.
        let stuck = account.in_flight.first().filter(|_| self.sends).and_then(|tx| stuck(account, tx, l1));
        too_poor(account).into_iter().chain(stuck).chain(at_ceiling).collect()
    }
}

fn blocked(label: &str, why: &str) -> Warning {
    // The reason says what to do.
    let (says, remedy) = why.split_once("; ").unwrap_or((why, "wait until fees fall"));
    Warning::new(format!("{label}: {says}"), remedy)
}

fn too_poor(account: &PublisherStatus) -> Option<Warning> {
    let balance = account.balance_wei?;
    let is_poor = account.affordable == Some(0) || balance.is_zero();
    let (address, has) = (account.address, ether(balance));
    let says = format!("publisher {address} cannot pay for another checkpoint, with {has}");
    is_poor.then(|| Warning::new(says, format!("send ETH to {address}")))
}

fn stuck(account: &PublisherStatus, tx: &InFlightTx, l1: L1Time) -> Option<Warning> {
    let late = l1.now.since(UnixTime(Duration::from_secs(tx.deadline)));
    let (address, nonce, late_words) = (account.address, tx.nonce, words(late));
    let says = format!(
        "publisher {address} is stuck at nonce {nonce}: {} is {} {late_words} after its deadline, with {} cancels",
        tx.label, tx.state, tx.cancels
    );
    let remedy =
        "raise publisher.max_fee_per_gas_gwei if its bid is at the ceiling, and look at the pools of your L1 nodes";
    (late > STUCK_AFTER * l1.slot).then(|| Warning::new(says, remedy))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;
    use crate::status::{FunderStatus, WaitingStatus};

    const L1: L1Time = L1Time { now: UnixTime::from_millis(1_000_000), slot: Duration::from_secs(12) };

    fn account(milli_ether: u64) -> PublisherStatus {
        let balance = U256::from(milli_ether) * U256::from(1_000_000_000_000_000_u64);
        PublisherStatus { balance_wei: Some(balance), ..PublisherStatus::empty(Address::repeat_byte(0x11)) }
    }

    fn resting() -> BackendStatus {
        let last_error = Some("connection refused".to_owned());
        BackendStatus { name: "L1".to_owned(), rests: true, failures: 3, last_error, other_chain: None }
    }

    fn told(sending: SendingStatus, account: &PublisherStatus) -> Vec<String> {
        let sending = SendingStatus { sends: true, ..sending };
        sending.judged(&[account], L1).warnings.iter().map(Warning::to_string).collect()
    }

    #[test]
    fn an_account_that_cannot_pay_is_told_and_one_of_which_nothing_is_known_is_not() {
        let well = PublisherStatus { affordable: Some(1), ..account(5) };
        let unknown = PublisherStatus { balance_wei: None, ..account(0) };
        for account in [account(5), well, unknown] {
            assert_eq!(told(SendingStatus::default(), &account), Vec::<String>::new());
        }
        for poor in [account(0), PublisherStatus { affordable: Some(0), ..account(5) }] {
            let told = told(SendingStatus::default(), &poor);
            assert!(
                told.len() == 1 && told[0].contains("cannot pay") && told[0].contains("send ETH to 0x1111"),
                "{told:?}"
            );
        }
    }

    #[test]
    fn backends_are_told_once_all_of_them_rest() {
        let with = |backends: Vec<BackendStatus>| SendingStatus { backends, ..SendingStatus::default() };
        assert_eq!(
            told(with(vec![resting(), BackendStatus { rests: false, ..resting() }]), &account(5)),
            Vec::<String>::new()
        );
        let told = told(with(vec![resting(), resting()]), &account(5));
        assert!(told[0].contains("2 of 2 did not answer (connection refused); check l1.rpc_url"), "{told:?}");
    }

    #[test]
    fn a_backend_of_another_chain_is_told_though_the_others_are_well() {
        let well = BackendStatus { rests: false, ..resting() };
        let other = BackendStatus { other_chain: Some(5), ..well.clone() };
        let told = told(SendingStatus { backends: vec![well, other], ..SendingStatus::default() }, &account(5));
        assert_eq!(told, ["L1 serves chain 5, and is handed nothing; correct it in l1.send_urls"]);
    }

    #[test]
    fn a_funder_that_holds_less_than_a_whole_round_is_dry() {
        let with = |needed: u64| {
            let needed_wei = U256::from(needed) * U256::from(1_000_000_000_000_000_u64);
            SendingStatus {
                funder: Some(FunderStatus { account: account(100), needed_wei, last: None }),
                ..SendingStatus::default()
            }
        };
        assert_eq!(told(with(100), &account(5)), Vec::<String>::new());
        let told = told(with(101), &account(5));
        assert!(told[0].contains("has 0.100 ETH, and needs 0.101 ETH"), "{told:?}");
    }

    #[test]
    fn an_account_is_stuck_long_after_the_deadline_of_its_oldest_and_only_while_somebody_follows_it() {
        let tx = |deadline| InFlightTx { state: "cancelling".to_owned(), deadline, ..InFlightTx::empty("propose", 6) };
        let lane = |deadline| PublisherStatus { in_flight: vec![tx(deadline), tx(0)], ..account(5) };
        assert_eq!(told(SendingStatus::default(), &lane(904)), Vec::<String>::new(), "eight slots behind");
        let told = told(SendingStatus::default(), &lane(903));
        assert!(told[0].contains("is stuck at nonce 6: propose is cancelling 1 m 37 s after its deadline"), "{told:?}");
        assert_eq!(SendingStatus::default().judged(&[&lane(903)], L1).warnings, [], "stopped");
    }

    #[test]
    fn bids_that_the_ceiling_blocks_are_told_in_flight_and_before_with_what_to_raise() {
        let why = "MaxFee needs 9 wei, and at most 4 are allowed; raise the ceiling or wait until fees fall".to_owned();
        let waiting = WaitingStatus {
            label: "propose 7".to_owned(),
            not_before: 0,
            deadline: 0,
            reason: Some(why.clone()),
            at_ceiling: true,
        };
        let others = WaitingStatus { at_ceiling: false, reason: Some("L1 is slow".to_owned()), ..waiting.clone() };
        let sending = SendingStatus { waiting: vec![waiting, others], ..SendingStatus::default() };
        let tx = InFlightTx { ceiling: Some(why), deadline: 2_000, ..InFlightTx::empty("propose 6", 6) };
        let told = told(sending, &PublisherStatus { in_flight: vec![tx], ..account(5) });
        let says = "MaxFee needs 9 wei, and at most 4 are allowed; raise the ceiling or wait until fees fall";
        assert_eq!(told, [format!("propose 7: {says}"), format!("propose 6: {says}")]);
    }
}
