//! Tells the command line where the admin RPC listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fermata_primitives::crash_point;

use super::{DataDir, DataDirError, write_private};

const FILE: &str = "admin.endpoint";

/// The file that names the endpoint. It is removed when this is dropped.
#[derive(Debug)]
pub struct EndpointFile {
    path: PathBuf,
}

impl EndpointFile {
    /// Says that the admin RPC listens at `addr`.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn write(dir: &DataDir, addr: SocketAddr) -> Result<Self, DataDirError> {
        let path = dir.root().join(FILE);
        write_private(&path, &format!("http://{addr}\n"))?;
        crash_point!("data_dir.after_endpoint");
        Ok(Self { path })
    }
}

impl Drop for EndpointFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Where the node of a data directory says it listens. After a crash the file may name a node that is no more.
///
/// # Errors
/// [`DataDirError::NoNode`] where there is no such file.
pub fn find_endpoint(root: &Path) -> Result<String, DataDirError> {
    let path = root.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(DataDirError::NoNode { path }),
        Err(source) => Err(DataDirError::unusable("read", &path)(source)),
    }
}
