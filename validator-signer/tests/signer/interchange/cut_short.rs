//! Imports that a process does not survive.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use fermata_validator_signer::{ImportReport, Interchange};

use super::{IMPORT, export, well_used};
use crate::children::{Role, Started, file_for};
use crate::homes::Make;
use crate::support::Place;

const SIGABRT: i32 = 6;

/// What a file says, without what tells the store that wrote it.
async fn said(place: &Place) -> String {
    let store = place.open();
    let rollup = export(&store).await.rollup_interchange.unwrap();
    store.close().await;
    format!("{:?}", rollup.scopes)
}

async fn import(place: &Place, file: &Interchange) -> ImportReport {
    let store = place.open();
    let report = store.import(file, IMPORT).await.unwrap();
    store.close().await;
    report
}

#[tokio::test]
async fn an_import_that_is_cut_short_is_whole_or_not_there_and_again_is_fine() {
    let home = well_used(Make::OnDisk).await;
    let store = home.keeper().await;
    let file = export(&*store).await;
    store.close().await;
    let whole = {
        let place = Place::new();
        let report = import(&place, &file).await;
        (said(&place).await, report)
    };
    let nothing = said(&Place::new()).await;
    for (order, afterwards, added) in [
        ("signer.before_import", &nothing, whole.1.added),
        ("signer.before_import=io-error", &nothing, whole.1.added),
        ("signer.after_import", &whole.0, 0),
    ] {
        let place = Place::new();
        fs::write(file_for(&place.store), file.to_text()).unwrap();
        let mut child = Started::new(Role::Import, &place.store, &[("FERMATA_CRASH_POINT", order)]);
        assert_eq!(child.said().as_deref(), Some("open"));
        if order.ends_with("io-error") {
            assert_eq!(child.said().as_deref(), Some("failed, Reopen"));
            assert!(child.wait().success());
        } else {
            assert_eq!(child.said(), None, "{order} was not reached");
            assert_eq!(child.wait().signal(), Some(SIGABRT));
        }
        assert_eq!(said(&place).await, *afterwards, "{order}");
        assert_eq!(import(&place, &file).await.added, added, "{order}: again");
        assert_eq!(said(&place).await, whole.0, "{order}");
    }
}
