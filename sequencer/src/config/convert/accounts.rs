//! The keys that sign and the accounts that send.

use std::num::NonZeroU64;
use std::time::Duration;

use alloy::primitives::{U256, utils::parse_ether};
use alloy::signers::local::coins_bip39::{English, Mnemonic};

use crate::config::reader::Reader;
use fermata_publisher::{FeeConfig, FundingConfig};
use fermata_validator_signer::{ClientCertificate, RemoteSettings, RemoteUrl};

use crate::config::{FundingSettings, KeySource, PublisherConfig, Secret, ValidatorConfig};
use crate::roles::{Role, Roles};

/// The keys of one section.
pub(super) struct KeyKeys {
    pub(super) keystore_dir: &'static str,
    pub(super) password_file: &'static str,
    pub(super) mnemonic: &'static str,
    pub(super) derivation_path: &'static str,
    pub(super) first: &'static str,
    pub(super) count: &'static str,
}

pub(super) fn keys(r: &mut Reader<'_>, k: &KeyKeys) -> Option<KeySource> {
    match (r.is_set(k.keystore_dir), r.is_set(k.mnemonic)) {
        (true, true) => {
            r.invalid(k.mnemonic, format!("is set beside `{}`", k.keystore_dir), "set one of them");
            None
        }
        (false, false) => {
            r.missing(k.keystore_dir, &format!("name a directory of keystores, or for development set {}", k.mnemonic));
            None
        }
        (true, false) => keystores(r, k.keystore_dir, k.password_file),
        (false, true) => mnemonic(r, k),
    }
}

fn keystores(r: &mut Reader<'_>, dir: &'static str, password_file: &'static str) -> Option<KeySource> {
    if !r.is_set(dir) {
        r.missing(dir, &format!("name the directory whose keystores {password_file} opens"));
    }
    if !r.is_set(password_file) {
        r.missing(password_file, &format!("name the file with the password of the keystores in {dir}"));
    }
    let (dir, password_file) = (r.path(dir), r.path(password_file));
    Some(KeySource::Keystores { dir: dir?, password_file: password_file? })
}

fn mnemonic(r: &mut Reader<'_>, k: &KeyKeys) -> Option<KeySource> {
    let phrase = r.text(k.mnemonic)?;
    let is_phrase = Mnemonic::<English>::new_from_phrase(&phrase).is_ok();
    if !is_phrase {
        r.invalid(k.mnemonic, "is not a mnemonic", "write 12 to 24 English BIP-39 words with a valid checksum");
    }
    let path = r.text(k.derivation_path)?;
    let is_path = path.strip_prefix("m/").is_some_and(|steps| steps.split('/').all(is_path_step));
    if !is_path {
        r.invalid(k.derivation_path, format!("is `{path}`"), "write it like m/44'/60'/0'/0");
    }
    let (first, count) = (r.count(k.first, 0..=1_000_000), r.count(k.count, 1..=10_000));
    let (first, count) = (first?, count?);
    (is_phrase && is_path).then_some(KeySource::Mnemonic { phrase: Secret::new(phrase), path, first, count })
}

fn is_path_step(step: &str) -> bool {
    step.strip_suffix('\'').unwrap_or(step).parse::<u32>().is_ok_and(|index| index < 1 << 31)
}

const VALIDATOR: KeyKeys = KeyKeys {
    keystore_dir: "validator.keystore_dir",
    password_file: "validator.password_file",
    mnemonic: "validator.mnemonic",
    derivation_path: "validator.derivation_path",
    first: "validator.first",
    count: "validator.count",
};

const PUBLISHER: KeyKeys = KeyKeys {
    keystore_dir: "publisher.keystore_dir",
    password_file: "publisher.password_file",
    mnemonic: "publisher.mnemonic",
    derivation_path: "publisher.derivation_path",
    first: "publisher.first",
    count: "publisher.count",
};

/// The remote signer.
const REMOTE_URL: &str = "validator.remote.url";

/// Who we are to the remote signer: a certificate and its key.
const REMOTE_CERTIFICATE: (&str, &str) = ("validator.remote.client_cert", "validator.remote.client_key");

/// A signer that takes longer is none.
const MOST_REMOTE_MS: u64 = 60_000;

/// More blocks than this hold nothing that is not final: three epochs of Ethereum.
const MOST_CONFIRMATIONS: u64 = 96;

/// Where the keystore of the funder is, and its password.
const FUNDER: (&str, &str) = ("publisher.funding.keystore_dir", "publisher.funding.password_file");

/// Both who proposes and who attests signs.
pub(super) fn validator(r: &mut Reader<'_>, roles: Roles) -> Option<ValidatorConfig> {
    let remote = remote(r);
    let signs = roles.has(Role::Sequencer) || roles.has(Role::Validator);
    let is_remote_alone = r.is_set(REMOTE_URL) && !r.is_set(VALIDATOR.keystore_dir) && !r.is_set(VALIDATOR.mnemonic);
    let keys = if signs && !is_remote_alone { keys(r, &VALIDATOR) } else { Some(KeySource::NoKeys) };
    let coinbase = r.address("validator.coinbase");
    Some(ValidatorConfig { keys: keys?, remote: remote?.filter(|_| signs), coinbase })
}

/// Without a URL there is none, and nothing that would go with it.
fn remote(r: &mut Reader<'_>) -> Option<Option<RemoteSettings>> {
    let with_url = [REMOTE_CERTIFICATE.0, REMOTE_CERTIFICATE.1, "validator.remote.ca_file"];
    if !r.is_set(REMOTE_URL) {
        let lonely = with_url.into_iter().find(|key| r.is_set(key));
        return match lonely {
            Some(key) => {
                r.missing(REMOTE_URL, &format!("name the remote signer that {key} is for"));
                None
            }
            None => Some(None),
        };
    }
    let url = remote_url(r);
    let ca_file = r.is_set("validator.remote.ca_file").then(|| r.path("validator.remote.ca_file"));
    let client_certificate = client_certificate(r);
    let timeout = r.millis("validator.remote.timeout_ms", 10..=MOST_REMOTE_MS);
    let addresses = r.addresses("validator.remote.addresses");
    let ca_file = match ca_file {
        Some(path) => Some(path?),
        None => None,
    };
    Some(Some(RemoteSettings {
        url: url?,
        ca_file,
        client_certificate: client_certificate?,
        timeout: timeout?,
        addresses: addresses?.into_iter().collect(),
    }))
}

fn remote_url(r: &mut Reader<'_>) -> Option<RemoteUrl> {
    let text = r.text(REMOTE_URL)?;
    match text.parse() {
        Ok(url) => Some(url),
        Err(error) => {
            r.invalid(REMOTE_URL, format!("is none: {error}"), "write it like https://signer.internal:9000");
            None
        }
    }
}

fn client_certificate(r: &mut Reader<'_>) -> Option<Option<ClientCertificate>> {
    let (certificate, key) = REMOTE_CERTIFICATE;
    if !r.is_set(certificate) && !r.is_set(key) {
        return Some(None);
    }
    for (one, other) in [(certificate, key), (key, certificate)] {
        if !r.is_set(one) {
            r.missing(one, &format!("name the file that belongs to {other}"));
        }
    }
    let (certificate, key) = (r.path(certificate), r.path(key));
    Some(Some(ClientCertificate { certificate: certificate?, key: key? }))
}

/// A validator that does not propose may send, and need not.
pub(super) fn publisher(r: &mut Reader<'_>, roles: Roles) -> Option<PublisherConfig> {
    let is_set = r.is_set(PUBLISHER.keystore_dir) || r.is_set(PUBLISHER.mnemonic);
    let keys = if roles.has(Role::Sequencer) || roles.has(Role::Validator) && is_set {
        keys(r, &PUBLISHER)
    } else {
        Some(KeySource::NoKeys)
    };
    let floor = gwei(r, "publisher.tip_floor_gwei");
    let cap = gwei(r, "publisher.tip_cap_gwei");
    let max_fee = gwei(r, "publisher.max_fee_per_gas_gwei");
    let max_blob_fee = gwei(r, "publisher.max_blob_fee_per_gas_gwei");
    if let (Some(floor), Some(cap)) = (floor, cap)
        && floor > cap
    {
        r.invalid("publisher.tip_floor_gwei", "is above `publisher.tip_cap_gwei`", "lower it, or raise the other");
    }
    if let (Some(cap), Some(max)) = (cap, max_fee)
        && cap > max / 2
    {
        let remedy = "lower it, or raise the other";
        r.invalid("publisher.tip_cap_gwei", "is above half of `publisher.max_fee_per_gas_gwei`", remedy);
    }
    let confirmations = r.integer("publisher.confirmations", 1..=MOST_CONFIRMATIONS).and_then(NonZeroU64::new);
    let (funding, spend) = (funding(r), spend(r));
    let (transaction_ceiling, hourly_ceiling) = spend?;
    let fees = FeeConfig {
        tip_floor: floor?,
        tip_cap: cap?,
        max_fee_ceiling: max_fee?,
        blob_fee_ceiling: max_blob_fee?,
        transaction_ceiling,
        hourly_ceiling,
    };
    Some(PublisherConfig { keys: keys?, fees, confirmations: confirmations?, funding: funding? })
}

/// The most that one transaction may cost, and all within an hour.
fn spend(r: &mut Reader<'_>) -> Option<(Option<U256>, Option<U256>)> {
    let mut limit = |key| match r.is_set(key) {
        true => ether(r, key).map(Some),
        false => Some(None),
    };
    let (transaction, hourly) = (limit("publisher.spend.transaction_ether"), limit("publisher.spend.hourly_ether"));
    let (transaction, hourly) = (transaction?, hourly?);
    if let (Some(transaction), Some(hourly)) = (transaction, hourly)
        && hourly < transaction
    {
        let problem = "is below `publisher.spend.transaction_ether`";
        r.invalid("publisher.spend.hourly_ether", problem, "raise it, or lower the other");
    }
    Some((transaction, hourly))
}

/// Without a key of the funder there is none; what else is set is checked all the same.
fn funding(r: &mut Reader<'_>) -> Option<Option<FundingSettings>> {
    let is_set = r.is_set(FUNDER.0) || r.is_set(FUNDER.1);
    let key = is_set.then(|| keystores(r, FUNDER.0, FUNDER.1));
    let threshold = ether(r, "publisher.funding.threshold_ether");
    let target = ether(r, "publisher.funding.target_ether");
    let hourly_cap = ether(r, "publisher.funding.hourly_cap_ether");
    let every = r.integer("publisher.funding.every_secs", 1..=3_600).map(Duration::from_secs);
    let multicall = r.is_set("publisher.funding.multicall").then(|| r.address("publisher.funding.multicall"));
    let (threshold, target, hourly_cap) = (threshold?, target?, hourly_cap?);
    let beside = "`publisher.funding.threshold_ether`";
    let remedy = "raise it, or lower the other";
    if target <= threshold {
        r.invalid("publisher.funding.target_ether", format!("is not above {beside}"), remedy);
    }
    if hourly_cap < threshold {
        r.invalid("publisher.funding.hourly_cap_ether", format!("is below {beside}"), remedy);
    }
    let usual = FundingConfig::new(threshold, target, hourly_cap);
    let multicall = match multicall {
        Some(named) => named?,
        None => usual.multicall,
    };
    let funding = FundingConfig { every: every?, multicall, ..usual };
    Some(match key {
        Some(key) => Some(FundingSettings { key: key?, funding }),
        None => None,
    })
}

fn ether(r: &mut Reader<'_>, key: &'static str) -> Option<U256> {
    let text = r.text(key)?;
    let wei = parse_ether(text.trim()).ok().filter(|wei| !wei.is_zero());
    if wei.is_none() {
        r.invalid(key, "is not an amount of ETH above 0", "write it like \"0.5\"");
    }
    wei
}

fn gwei(r: &mut Reader<'_>, key: &'static str) -> Option<u128> {
    r.integer(key, 1..=1_000_000_000).map(|gwei| u128::from(gwei) * 1_000_000_000)
}
