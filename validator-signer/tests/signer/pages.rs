//! Damage to each page of a store's file, read by a process of its own.

use std::fs;
use std::path::{Path, PathBuf};

use fermata_primitives::Slot;
use fermata_validator_signer::{Sentinel, SignerError, SlashingProtection, StoreSurvey};

use crate::children::{anchor_of, anchored, child_scan};
use crate::support::{DOMAIN, Place, attestation, digest, open};

const PAGE: usize = 4096;

/// A store of several pages of each kind, some of them free, with its anchor.
async fn grown() -> Place {
    let place = Place::new();
    let store = SlashingProtection::open(&place.store, DOMAIN, anchored(&place.store)).unwrap();
    for slots in [0..40, 40..80, 80..120] {
        let wanted: Vec<_> = slots.flat_map(|slot| (0..8).map(move |v| (attestation(v, slot), digest(7)))).collect();
        assert!(store.reserve_many(&wanted, None).await.iter().all(Result::is_ok));
    }
    store.prune(Slot(30)).await.unwrap();
    let wanted: Vec<_> = (0..8).map(|validator| (attestation(validator, 121), digest(7))).collect();
    assert!(store.reserve_many(&wanted, None).await.iter().all(Result::is_ok));
    store.close().await;
    place
}

fn verify(dir: &Path, anchor: &Path) -> Result<StoreSurvey, SignerError> {
    let sentinel = Sentinel { scan: child_scan(), anchor: Some(anchor.to_owned()) };
    SlashingProtection::verify(dir, &sentinel)
}

/// How a page is damaged.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Zeroed,
    Header,
    /// What a meta page says; slots of rows on others.
    Beginning,
    Middle,
    End,
}

impl Damage {
    const ALL: [Self; 5] = [Self::Zeroed, Self::Header, Self::Beginning, Self::Middle, Self::End];

    fn strike(self, page: &mut [u8]) {
        match self {
            Self::Zeroed => page.fill(0),
            Self::Header => page[8..16].fill(0x7f),
            Self::Beginning => page[16..168].iter_mut().for_each(|byte| *byte ^= 0x55),
            Self::Middle => page[PAGE / 2..PAGE / 2 + 64].iter_mut().for_each(|byte| *byte ^= 0x55),
            Self::End => page[PAGE - 64..].iter_mut().for_each(|byte| *byte ^= 0x55),
        }
    }
}

/// Copies of a store that can be damaged one after the other.
struct Copies {
    place: Place,
    sound: Vec<u8>,
}

impl Copies {
    fn of(place: Place) -> Self {
        let mut sound = fs::read(place.data_file()).unwrap();
        let used = sound.chunks(PAGE).rposition(|page| page.iter().any(|byte| *byte != 0)).unwrap() + 1;
        sound.truncate(used * PAGE);
        Self { place, sound }
    }

    fn anchor(&self) -> PathBuf {
        anchor_of(&self.place.store)
    }

    fn with(&self, damage: impl FnOnce(&mut Vec<u8>)) -> Result<StoreSurvey, SignerError> {
        let mut bytes = self.sound.clone();
        damage(&mut bytes);
        fs::write(self.place.data_file(), bytes).unwrap();
        verify(&self.place.store, &self.anchor())
    }
}

#[tokio::test]
async fn damage_anywhere_in_any_page_is_refused_or_changes_nothing_and_never_ends_this_process() {
    let copies = Copies::of(grown().await);
    let sound = copies.with(|_| {}).unwrap();
    let pages = copies.sound.len() / PAGE;
    assert!(pages > 30, "{pages} pages");
    let (mut refused, mut ended_the_reader) = (0, 0);
    for page in 0..pages {
        for damage in Damage::ALL {
            match copies.with(|bytes| damage.strike(&mut bytes[page * PAGE..(page + 1) * PAGE])) {
                Ok(survey) => assert_eq!(survey, sound, "{damage:?} of page {page}"),
                Err(SignerError::Damaged { what, .. }) => {
                    refused += 1;
                    ended_the_reader += usize::from(what.contains("ended the reader with signal"));
                }
                Err(SignerError::Stale { .. }) => refused += 1,
                Err(error) => panic!("{damage:?} of page {page}: {error}"),
            }
        }
    }
    assert!(refused > pages, "{refused} of {pages} pages");
    assert!(ended_the_reader > 0, "a damaged page ends the process that reads it");
}

#[tokio::test]
async fn a_file_cut_at_any_page_is_refused() {
    let copies = Copies::of(grown().await);
    for pages in 0..copies.sound.len() / PAGE {
        let refused = copies.with(|bytes| bytes.truncate(pages * PAGE));
        assert!(matches!(refused, Err(SignerError::Damaged { .. })), "cut to {pages} pages: {refused:?}");
    }
}

#[tokio::test]
async fn a_store_that_a_child_finds_sound_opens_and_remembers() {
    let place = grown().await;
    let mut options = anchored(&place.store);
    options.sentinel.scan = child_scan();
    let store = SlashingProtection::open(&place.store, DOMAIN, options).unwrap();
    assert!(store.reserve(attestation(0, 121), digest(8)).await.is_err());
    store.close().await;
}

#[test]
fn a_reader_that_cannot_be_run_or_says_nothing_is_no_leave_to_open() {
    let place = Place::new();
    for program in ["/nowhere/reader", "true", "false"] {
        let scan = fermata_validator_signer::Scan::Child { program: program.into(), args: Vec::new() };
        let refused = SlashingProtection::verify(&place.store, &Sentinel { scan, anchor: None });
        assert!(matches!(refused, Err(SignerError::Io { .. })), "{program}: {refused:?}");
    }
    drop(open(&place.store).unwrap());
}
