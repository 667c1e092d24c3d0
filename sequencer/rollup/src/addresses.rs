//! Where the L1 contracts are: the file a deployment writes and a node reads.

use std::io::Write;
use std::path::Path;

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::error::{AddressesFault, Result, RollupError};

/// The version of the file's layout.
pub const ADDRESSES_VERSION: u64 = 1;

/// The L1 contracts of one rollup, as `addresses.json` holds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Addresses {
    /// Layout of the file: [`ADDRESSES_VERSION`].
    pub version: u64,
    /// The L1 they are on.
    pub l1_chain_id: u64,
    /// The rollup.
    pub rollup: Address,
    /// The registry of rollups.
    pub registry: Address,
    /// The stake registry.
    pub gse: Address,
    /// Governance.
    pub governance: Address,
    /// Where proposers signal for governance payloads.
    pub governance_proposer: Address,
    /// The token fees are paid in.
    pub fee_asset: Address,
    /// The token validators stake.
    pub staking_asset: Address,
    /// Messages from L1.
    pub inbox: Address,
    /// Multicall3.
    pub multicall3: Address,
    /// L1 block in which the rollup was deployed: a reader begins here.
    pub deployed_at_block: u64,
    /// Archive of checkpoint 0: hash of the L2 genesis block.
    pub genesis_archive: B256,
}

impl L1Addresses {
    /// Reads the file.
    ///
    /// # Errors
    /// [`RollupError::Addresses`] where it cannot be read, is damaged or of another version; it names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let fault = |fault| RollupError::Addresses { path: path.to_owned(), fault };
        let text = std::fs::read(path).map_err(|cause| fault(AddressesFault::Unreadable(cause)))?;
        let damaged = |cause| fault(AddressesFault::Damaged(cause));
        let Layout { version } = serde_json::from_slice(&text).map_err(damaged)?;
        if version != ADDRESSES_VERSION {
            return Err(fault(AddressesFault::Version { found: version, known: ADDRESSES_VERSION }));
        }
        serde_json::from_slice(&text).map_err(damaged)
    }

    /// Writes the file: whole or not at all, so that a reader never sees half of it.
    ///
    /// # Errors
    /// [`RollupError::Addresses`] where it cannot be written; what was there before is untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        let fault = |cause| RollupError::Addresses { path: path.to_owned(), fault: AddressesFault::Unwritable(cause) };
        let mut text = serde_json::to_string_pretty(self).expect("numbers and addresses always serialise");
        text.push('\n');
        write_whole(path, text.as_bytes()).map_err(fault)
    }
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Layout {
    version: u64,
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_addresses() -> L1Addresses {
        L1Addresses {
            version: ADDRESSES_VERSION,
            l1_chain_id: 31_337,
            rollup: Address::repeat_byte(1),
            registry: Address::repeat_byte(2),
            gse: Address::repeat_byte(3),
            governance: Address::repeat_byte(4),
            governance_proposer: Address::repeat_byte(5),
            fee_asset: Address::repeat_byte(6),
            staking_asset: Address::repeat_byte(7),
            inbox: Address::repeat_byte(8),
            multicall3: Address::repeat_byte(9),
            deployed_at_block: 12,
            genesis_archive: B256::repeat_byte(10),
        }
    }

    fn fault(path: &Path) -> AddressesFault {
        match L1Addresses::load(path) {
            Err(error @ RollupError::Addresses { .. }) => {
                assert!(error.to_string().contains(&path.display().to_string()), "{error} names no file");
                let RollupError::Addresses { fault, .. } = error else { unreachable!() };
                fault
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_saved_file_is_loaded_as_it_was_and_replaces_the_former_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("addresses.json");
        let mut addresses = some_addresses();
        addresses.save(&path).expect("saves");
        addresses.deployed_at_block = 13;
        addresses.save(&path).expect("saves again");
        assert_eq!(L1Addresses::load(&path).expect("loads"), addresses);
        assert_eq!(std::fs::read_dir(directory.path()).expect("lists").count(), 1, "no leftover beside it");
    }

    #[test]
    fn a_missing_a_damaged_and_a_newer_file_are_refused_each_by_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("addresses.json");
        assert!(matches!(fault(&path), AddressesFault::Unreadable(_)));
        let good = serde_json::to_string(&some_addresses()).expect("serialises");
        for bad in ["", "{}", &good[..good.len() - 1], &good.replace("rollup", "rolup"), &good.replace("0x01", "0x")] {
            std::fs::write(&path, bad).expect("writes");
            assert!(matches!(fault(&path), AddressesFault::Damaged(_)), "{bad}");
        }
        std::fs::write(&path, r#"{"version":2,"novelty":true}"#).expect("writes");
        assert!(matches!(fault(&path), AddressesFault::Version { found: 2, known: 1 }));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("nowhere").join("addresses.json");
        let refused = some_addresses().save(&path).expect_err("no such directory");
        assert!(refused.to_string().contains("addresses.json"), "{refused}");
        let RollupError::Addresses { fault, .. } = refused else { panic!("another error") };
        assert!(matches!(fault, AddressesFault::Unwritable(_)));
    }
}
