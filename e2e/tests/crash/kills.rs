//! A few kills at moments nobody chose; the bench has many.

use fermata_e2e::crash::{Ground, kill_at_random};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_or_sent_twice_or_late_or_lost_whenever_a_node_is_killed() -> anyhow::Result<()> {
    let found = kill_at_random(Ground::begin(3).await?, 5, 42).await?;
    assert!(found.is_clean(), "{found:?}");
    assert!(found.audit.landed > 0 && found.duties > 0, "{found:?}");
    Ok(())
}
