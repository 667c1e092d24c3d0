//! What the file system under a store must give.

use std::fs::File;
use std::path::Path;

use crate::SignerError;

/// Room below which an operator is warned: a store writes little, but its node writes much beside it.
pub(super) const AMPLE_ROOM: u64 = 256 << 20;

/// File systems that lie on another machine, by the number `statfs` tells. There a lock may not keep out another machine,
/// and a mapped page may not be the one on disk.
const NETWORK: [(u32, &str); 13] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x1983_0326, "BeeGFS"),
];

/// # Errors
/// [`SignerError::NetworkFileSystem`], [`SignerError::Io`].
pub(super) fn expect_local(dir: &Path) -> Result<(), SignerError> {
    let found = rustix::fs::statfs(dir).map_err(|errno| SignerError::Io {
        action: "find the file system of",
        path: dir.to_owned(),
        source: errno.into(),
    })?;
    // Wide enough on every system, and all of these are numbers of 32 bits.
    match network_kind(found.f_type as u32) {
        Some(kind) => Err(SignerError::NetworkFileSystem { path: dir.to_owned(), kind }),
        None => Ok(()),
    }
}

fn network_kind(number: u32) -> Option<&'static str> {
    NETWORK.iter().find(|(network, _)| *network == number).map(|(_, kind)| *kind)
}

/// Bytes that may still be written on the file system of `dir`.
///
/// # Errors
/// What the system said.
pub(super) fn room(dir: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Makes the names in `dir` durable; LMDB does not.
///
/// # Errors
/// [`SignerError::Io`].
pub(super) fn sync_dir(dir: &Path) -> Result<(), SignerError> {
    let io = |source| SignerError::Io { action: "sync", path: dir.to_owned(), source };
    File::open(dir).map_err(io)?.sync_all().map_err(io)
}

/// Makes the name `path` durable in its directory.
///
/// # Errors
/// [`SignerError::Io`].
pub(super) fn sync_parent(path: &Path) -> Result<(), SignerError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        Some(_) | None => sync_dir(Path::new(".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_told_from_those_of_this_one() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xff53_4d42), Some("CIFS"));
        let (ext4, btrfs, xfs, tmpfs, overlay) = (0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630);
        for local in [ext4, btrfs, xfs, tmpfs, overlay] {
            assert_eq!(network_kind(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_directory_of_this_machine_is_local_and_has_room_and_a_missing_one_is_neither() {
        let dir = tempfile::tempdir().unwrap();
        expect_local(dir.path()).unwrap();
        assert!(room(dir.path()).unwrap() > 0);
        let missing = dir.path().join("missing");
        assert!(matches!(expect_local(&missing), Err(SignerError::Io { .. })));
        assert!(room(&missing).is_err());
    }
}
