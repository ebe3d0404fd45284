//! Spools an upload to an unnamed temporary file.
//!
//! The transaction that stores an upload begins only once the upload is complete, so a slow client holds neither a
//! connection nor memory, and the content's hash is known before the idempotency key is looked up. Because the file has
//! no name, it is removed when the request ends, however it ends.

use std::io::SeekFrom;

use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};

use mainstay_kernel::error::{Error, Reason, Result};

/// The size of a stored chunk: a row of this size is read and written at once.
const PIECE: usize = 512 * 1024;

/// An upload.
#[derive(Debug)]
pub struct Spool {
    file: File,
    hash: Sha256,
    bytes: usize,
    most: usize,
    reading: bool,
}

impl Spool {
    /// Creates an empty spool that accepts at most `most` bytes.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the file can't be created.
    pub async fn new(most: usize) -> Result<Self> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(Error::internal)?;
        let file = File::from_std(file.map_err(Error::internal)?);
        Ok(Self { file, hash: Sha256::new(), bytes: 0, most, reading: false })
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE`.
    pub async fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.bytes += piece.len();
        if self.bytes > self.most {
            let message = format!("A file of more than {} bytes is not taken.", self.most);
            return Err(Error::with_message(Reason::PayloadTooLarge, message));
        }
        self.hash.update(piece);
        self.file.write_all(piece).await.map_err(Error::internal)
    }

    /// Returns the number of bytes received.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the SHA-256 of the content.
    pub fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Returns the next chunk to store, from the first one on, or `None` after the last one.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the file can't be read back.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if !self.reading {
            self.file.flush().await.map_err(Error::internal)?;
            self.file.seek(SeekFrom::Start(0)).await.map_err(Error::internal)?;
            self.reading = true;
        }
        let mut piece = Vec::with_capacity(PIECE);
        (&mut self.file).take(PIECE as u64).read_to_end(&mut piece).await.map_err(Error::internal)?;
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}
