//! What a proposer does besides proposing.

use std::time::Duration;

use alloy::primitives::Address;
use fermata_rollup::SlashUnits;

use crate::config::reader::Reader;
use crate::invalidation::InvalidationDelays;
use crate::side_duties::SideSettings;
use crate::votes::{SlashPolicy, VoteSettings};

/// The contract's steps.
const MOST_UNITS: u32 = 3;
/// A day: nobody waits longer.
const DAY_SECS: u64 = 86_400;

pub(super) fn side(r: &mut Reader<'_>) -> Option<SideSettings> {
    let (votes, invalidation) = (votes(r), invalidation(r));
    Some(SideSettings { votes: votes?, invalidation: invalidation? })
}

fn votes(r: &mut Reader<'_>) -> Option<VoteSettings> {
    let is_set = r.is_set("votes.governance_payload");
    let payload = r.address("votes.governance_payload");
    if payload == Some(Address::ZERO) {
        r.invalid("votes.governance_payload", "is the zero address", "name a contract, or leave the key out");
    }
    let inactivity = units(r, "votes.inactivity_units");
    let equivocation = units(r, "votes.equivocation_units");
    let percent = r.count("votes.inactivity_percent", 1..=100).and_then(|percent| u8::try_from(percent).ok());
    let (always, never) = (r.addresses("votes.always_slash"), r.addresses("votes.never_slash"));
    Some(VoteSettings {
        governance_payload: if is_set { Some(payload?) } else { None },
        slash: SlashPolicy {
            inactivity: inactivity?,
            equivocation: equivocation?,
            inactivity_percent: percent?,
            always: always?,
            never: never?,
        },
    })
}

fn invalidation(r: &mut Reader<'_>) -> Option<InvalidationDelays> {
    let mut delay = |key| r.integer(key, 0..=DAY_SECS).map(|secs| (secs > 0).then(|| Duration::from_secs(secs)));
    let as_member = delay("invalidation.as_member_after_secs");
    let as_anyone = delay("invalidation.as_anyone_after_secs");
    Some(InvalidationDelays { as_member: as_member?, as_anyone: as_anyone? })
}

fn units(r: &mut Reader<'_>, key: &'static str) -> Option<SlashUnits> {
    r.count(key, 0..=MOST_UNITS).map(|units| SlashUnits::capped(u64::from(units)))
}
