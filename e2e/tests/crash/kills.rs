//! A few kills at moments nobody chose; the bench has many.

use fermata_e2e::crash::{Ground, kill_at_random};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_or_sent_twice_or_late_or_lost_whenever_a_node_is_killed() -> anyhow::Result<()> {
    let found = kill_at_random(Ground::begin(3).await?, 5, 42).await?;
    assert!(found.is_clean(), "{found:?}");
    assert!(found.audit.landed > 0 && found.duties > 0, "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_no_block_has_is_found_to_be_lost() -> anyhow::Result<()> {
    let mut ground = Ground::begin(3).await?;
    // It takes transactions, and builds nothing.
    let idle = ground.rise_with(&[("sequencer.start", "never")]).await?;
    let url = idle.l2_url().await?;
    ground.users().send(&url).await?;
    let lost = ground.users_have_receipts(&idle).await.expect_err("nothing is mined").to_string();
    assert!(lost.contains("is lost"), "{lost}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_without_a_signing_store_are_no_clean_audit() -> anyhow::Result<()> {
    let mut ground = Ground::begin(3).await?;
    let mut risen = ground.rise().await?;
    ground.progressed(&risen).await?;
    risen.kill().await?;
    assert!(ground.audit_duties().await? > 0, "what was sent was signed");
    let store = ground.data_dir().join("signer");
    std::fs::rename(&store, store.with_extension("away"))?;
    let refused = ground.audit_duties().await.expect_err("there is nothing to look at").to_string();
    assert!(refused.contains("there is no signing store"), "{refused}");
    Ok(())
}
