//! What is known of Ethereum's keys, as rows: read and written within somebody's transaction.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use fermata_primitives::{Epoch, Slot};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, ToStatement};

use super::session::{ServerError, Session, damage};
use super::statements::eth::{DROP_ATTESTATIONS, DROP_BLOCKS, PUBLIC_KEYS, PUT_ATTESTATIONS, PUT_BLOCKS, RAISE_FLOOR};
use crate::eth::history::KeyHistory;
use crate::eth::judging::{EthKnown, EthStanding, EthWanted};
use crate::interchange::Rewritten;
use crate::{EthAttestation, EthBlock, EthDuty, EthMarks, EthPublicKey};

/// Records of one statement.
const PIECE: usize = 4096;
/// Ethereum keys whose histories one statement reads.
pub(super) const HISTORIES: usize = 64;

/// The records that are asked for: from one number to another, of each key.
#[derive(Clone, Default, Debug)]
pub(super) struct Reach {
    keys: BTreeSet<EthPublicKey>,
    blocks: Vec<(EthPublicKey, [u64; 2])>,
    targets: Vec<(EthPublicKey, [u64; 2])>,
}

impl Reach {
    /// What the data asked for may conflict with.
    pub(super) fn of(wanted: &[EthWanted]) -> Self {
        let mut reach = Self { keys: wanted.iter().map(|wanted| wanted.public_key).collect(), ..Self::default() };
        let mut sources: BTreeMap<EthPublicKey, u64> = BTreeMap::new();
        for EthWanted { public_key, duty, .. } in wanted {
            match duty {
                EthDuty::Block(block) => reach.blocks.push((*public_key, [block.slot.0; 2])),
                EthDuty::Attestation(vote) => {
                    let lowest = sources.entry(*public_key).or_insert(vote.source.0);
                    *lowest = vote.source.0.min(*lowest);
                }
            }
        }
        reach.targets = sources.into_iter().map(|(public_key, source)| (public_key, [source, u64::MAX])).collect();
        reach
    }

    /// Everything there is of these keys.
    pub(super) fn all(public_keys: impl Iterator<Item = EthPublicKey>) -> Self {
        let keys: BTreeSet<_> = public_keys.collect();
        let all = || keys.iter().map(|&public_key| (public_key, [0, u64::MAX])).collect();
        Self { blocks: all(), targets: all(), keys }
    }
}

/// What is known within `reach`; a key that nothing is known of is not in it, unless something is refused to every key.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn read(session: &Session, reach: &Reach) -> Result<BTreeMap<EthPublicKey, EthKnown>, ServerError> {
    let (client, statements) = (&session.client, &session.statements.eth);
    let keys: Vec<&[u8]> = reach.keys.iter().map(|key| key.as_slice()).collect();
    let [blocks, targets] = [&reach.blocks, &reach.targets].map(|ranges| range_rows(ranges));
    let [blocks, targets] = [Columns::of(&blocks), Columns::of(&targets)];
    let keys: [&(dyn ToSql + Sync); 1] = [&keys];
    let (blocks, targets) = (blocks.params(), targets.params());
    let (keys, blocks, votes) = futures::join!(
        client.query(&statements.keys, &keys),
        client.query(&statements.blocks, &blocks),
        client.query(&statements.attestations, &targets),
    );
    let mut known: BTreeMap<EthPublicKey, EthKnown> = BTreeMap::new();
    for row in keys? {
        let EthStanding { marks, retired } = standing(&row)?;
        known.insert(public_key(&row)?, EthKnown { retired, history: KeyHistory { marks, ..KeyHistory::default() } });
    }
    for row in blocks? {
        let block = EthBlock { slot: Slot(number(row.try_get(1)?)?) };
        known.entry(public_key(&row)?).or_default().history.blocks.insert(block, root(row.try_get(2)?)?);
    }
    for row in votes? {
        let (target, source) = (Epoch(number(row.try_get(1)?)?), Epoch(number(row.try_get(2)?)?));
        let vote = EthAttestation { source, target };
        known.entry(public_key(&row)?).or_default().history.attestations.insert(vote, root(row.try_get(3)?)?);
    }
    Ok(known)
}

/// All that is known of these keys, but for those that nothing is known of.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn histories(
    session: &Session,
    public_keys: &[EthPublicKey],
) -> Result<Vec<(EthPublicKey, KeyHistory)>, ServerError> {
    let mut found = Vec::new();
    for piece in public_keys.chunks(HISTORIES) {
        let read = read(session, &Reach::all(piece.iter().copied())).await?;
        found.extend(read.into_iter().map(|(public_key, known)| (public_key, known.history)));
    }
    Ok(found)
}

/// Every key that anything is known of.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn public_keys(session: &Session) -> Result<Vec<EthPublicKey>, ServerError> {
    session.client.query(PUBLIC_KEYS, &[]).await?.iter().map(public_key).collect()
}

/// Refuses every key what `marks` refuse, whether anything is known of the key or not.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn raise_floor(session: &Session, marks: EthMarks) -> Result<(), ServerError> {
    let block = marks.block.map(|slot| bytes(slot.0));
    let (source, target) = marks.attestation.map(|vote| (bytes(vote.source.0), bytes(vote.target.0))).unzip();
    session.client.execute(RAISE_FLOOR, &[&block, &source, &target]).await?;
    Ok(())
}

/// Raises marks, and retires keys that are to be.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn put_standings(
    session: &Session,
    standings: &[(EthPublicKey, EthStanding)],
) -> Result<(), ServerError> {
    if standings.is_empty() {
        return Ok(());
    }
    let column = |mark: fn(&EthMarks) -> Option<u64>| -> Vec<Option<Vec<u8>>> {
        standings.iter().map(|(_, standing)| mark(&standing.marks).map(bytes)).collect()
    };
    let keys: Vec<&[u8]> = standings.iter().map(|(public_key, _)| public_key.as_slice()).collect();
    let slots = column(|marks| marks.block.map(|slot| slot.0));
    let sources = column(|marks| marks.attestation.map(|vote| vote.source.0));
    let targets = column(|marks| marks.attestation.map(|vote| vote.target.0));
    let retired: Vec<bool> = standings.iter().map(|(_, standing)| standing.retired).collect();
    let statement = &session.statements.eth.put_keys;
    session.client.execute(statement, &[&keys, &slots, &sources, &targets, &retired]).await?;
    Ok(())
}

/// Adds records for duties, by one statement a kind.
///
/// # Errors
/// [`ServerError`]; also where there is a record already.
pub(super) async fn add_records(session: &Session, new: &[EthWanted]) -> Result<(), ServerError> {
    let (mut blocks, mut votes) = (Vec::new(), Vec::new());
    for &EthWanted { public_key, duty, root } in new {
        match duty {
            EthDuty::Block(block) => blocks.push(block_row(public_key, block, root)),
            EthDuty::Attestation(vote) => votes.push(vote_row(public_key, vote, root)),
        }
    }
    let statements = &session.statements.eth;
    let (blocks, votes) = futures::join!(
        send(session, &statements.add_blocks, &blocks),
        send(session, &statements.add_attestations, &votes)
    );
    blocks.and(votes).map(drop)
}

/// Writes what changed of histories; gives the number of records removed.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn rewrite(session: &Session, changes: &[Rewritten]) -> Result<u64, ServerError> {
    let (mut dropped, mut put) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for Rewritten { public_key, before, after } in changes {
        let key = *public_key;
        let gone = before.blocks.keys().filter(|block| !after.blocks.contains_key(block));
        dropped.0.extend(gone.map(|block| [key.to_vec(), bytes(block.slot.0)]));
        let gone = before.attestations.keys().filter(|vote| !after.attestations.contains_key(vote));
        dropped.1.extend(gone.map(|vote| [key.to_vec(), bytes(vote.target.0), bytes(vote.source.0)]));
        let new = after.blocks.iter().filter(|(block, root)| before.blocks.get(block) != Some(root));
        put.0.extend(new.map(|(block, root)| block_row(key, *block, *root)));
        let new = after.attestations.iter().filter(|(vote, root)| before.attestations.get(vote) != Some(root));
        put.1.extend(new.map(|(vote, root)| vote_row(key, *vote, *root)));
    }
    let removed = send_in_pieces(session, DROP_BLOCKS, &dropped.0).await?
        + send_in_pieces(session, DROP_ATTESTATIONS, &dropped.1).await?;
    send_in_pieces(session, PUT_BLOCKS, &put.0).await?;
    send_in_pieces(session, PUT_ATTESTATIONS, &put.1).await?;
    let standing = |marks| EthStanding { marks, retired: false };
    let standings: Vec<_> = changes.iter().map(|change| (change.public_key, standing(change.after.marks))).collect();
    for piece in standings.chunks(PIECE) {
        put_standings(session, piece).await?;
    }
    Ok(removed)
}

fn block_row(public_key: EthPublicKey, block: EthBlock, root: B256) -> [Vec<u8>; 3] {
    [public_key.to_vec(), bytes(block.slot.0), root.to_vec()]
}

fn vote_row(public_key: EthPublicKey, vote: EthAttestation, root: B256) -> [Vec<u8>; 4] {
    [public_key.to_vec(), bytes(vote.target.0), bytes(vote.source.0), root.to_vec()]
}

fn range_rows(ranges: &[(EthPublicKey, [u64; 2])]) -> Vec<[Vec<u8>; 3]> {
    ranges.iter().map(|(public_key, [first, last])| [public_key.to_vec(), bytes(*first), bytes(*last)]).collect()
}

fn bytes(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Rows as statements take them: column by column.
struct Columns<'a, const N: usize>([Vec<&'a [u8]>; N]);

impl<'a, const N: usize> Columns<'a, N> {
    fn of(rows: &'a [[Vec<u8>; N]]) -> Self {
        Self(std::array::from_fn(|at| rows.iter().map(|row| row[at].as_slice()).collect()))
    }

    fn params(&self) -> [&(dyn ToSql + Sync); N] {
        self.0.each_ref().map(|column| column as &(dyn ToSql + Sync))
    }
}

/// Gives the number of rows that changed.
async fn send<S, const N: usize>(session: &Session, statement: &S, rows: &[[Vec<u8>; N]]) -> Result<u64, ServerError>
where
    S: ToStatement + ?Sized,
{
    if rows.is_empty() {
        return Ok(0);
    }
    let columns = Columns::of(rows);
    Ok(session.client.execute(statement, &columns.params()).await?)
}

/// Many rows, so that no statement takes longer than a statement may.
async fn send_in_pieces<const N: usize>(
    session: &Session,
    statement: &str,
    rows: &[[Vec<u8>; N]],
) -> Result<u64, ServerError> {
    let mut changed = 0;
    for piece in rows.chunks(PIECE) {
        changed += send(session, statement, piece).await?;
    }
    Ok(changed)
}

fn number(bytes: &[u8]) -> Result<u64, ServerError> {
    let bytes = bytes.try_into().map_err(|_| damage("a number has a wrong length"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn public_key(row: &Row) -> Result<EthPublicKey, ServerError> {
    EthPublicKey::try_from(row.try_get::<_, &[u8]>(0)?).map_err(|_| damage("an Ethereum key has a wrong length"))
}

fn root(bytes: &[u8]) -> Result<B256, ServerError> {
    B256::try_from(bytes).map_err(|_| damage("a root has a wrong length"))
}

fn standing(row: &Row) -> Result<EthStanding, ServerError> {
    let mark = |at| -> Result<_, ServerError> { row.try_get::<_, Option<&[u8]>>(at)?.map(number).transpose() };
    let (slot, source, target) = (mark(1)?, mark(2)?, mark(3)?);
    let attestation =
        source.zip(target).map(|(source, target)| EthAttestation { source: Epoch(source), target: Epoch(target) });
    Ok(EthStanding { marks: EthMarks { block: slot.map(Slot), attestation }, retired: row.try_get(4)? })
}
