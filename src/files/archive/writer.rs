//! A tar.gz that is written to the storage as it is made, so that its size needs no memory.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use mainstay_kernel::error::{Error, Result};

use crate::files::storage::Parts;

/// The block size of tar.
const BLOCK: u64 = 512;
/// The two empty blocks at the end of an archive.
const END: [u8; 1024] = [0; 1024];

/// Writes an archive.
pub(crate) struct ArchiveWriter {
    gzip: GzEncoder<Vec<u8>>,
    parts: Parts,
    time: u64,
    /// The bytes that the present entry still needs, and the padding of its last block.
    missing: u64,
    padding: usize,
}

impl std::fmt::Debug for ArchiveWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchiveWriter").field("missing", &self.missing).finish_non_exhaustive()
    }
}

impl ArchiveWriter {
    pub(super) fn new(parts: Parts, now: DateTime<Utc>) -> Self {
        let time = u64::try_from(now.timestamp()).unwrap_or_default();
        Self { gzip: GzEncoder::new(Vec::new(), Compression::fast()), parts, time, missing: 0, padding: 0 }
    }

    /// Begins an entry of a known size, whose content follows by [`ArchiveWriter::write`].
    ///
    /// # Errors
    /// `INTERNAL_ERROR` for a path of more than 100 bytes, or if the entry before is incomplete; the errors of the storage.
    pub(crate) async fn begin(&mut self, path: &str, bytes: u64) -> Result<()> {
        if self.missing > 0 {
            return Err(Error::internal(anyhow::anyhow!("the entry before {path} lacks {} bytes", self.missing)));
        }
        let mut header = tar::Header::new_gnu();
        header.set_path(path).map_err(Error::internal)?;
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        header.set_cksum();
        self.missing = bytes;
        self.padding = usize::try_from(bytes.next_multiple_of(BLOCK) - bytes).map_err(Error::internal)?;
        let block = *header.as_bytes();
        self.compress(&block).await
    }

    /// Appends a piece of the present entry.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the entry would be longer than announced; the errors of the storage.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.missing = self
            .missing
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| Error::internal(anyhow::anyhow!("an entry of an archive is longer than announced")))?;
        self.compress(piece).await?;
        if self.missing == 0 {
            let padding = std::mem::take(&mut self.padding);
            self.compress(&END[..padding]).await?;
        }
        Ok(())
    }

    /// Stores the archive, and returns its size.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the last entry is incomplete; the errors of the storage.
    pub(crate) async fn finish(mut self) -> Result<u64> {
        if self.missing > 0 {
            return Err(Error::internal(anyhow::anyhow!("the last entry lacks {} bytes", self.missing)));
        }
        self.compress(&END).await?;
        let rest = self.gzip.finish().map_err(Error::internal)?;
        self.parts.write(&rest).await?;
        self.parts.finish().await
    }

    async fn compress(&mut self, piece: &[u8]) -> Result<()> {
        // The encoder takes some ten milliseconds per MiB, so other tasks of the thread wait for one chunk at most.
        for chunk in piece.chunks(64 << 10) {
            self.gzip.write_all(chunk).map_err(Error::internal)?;
            let ready = std::mem::take(self.gzip.get_mut());
            self.parts.write(&ready).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
