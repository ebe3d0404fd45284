//! Uploads: bytes that arrive at their sender's pace.
//!
//! An upload is spooled to an unnamed temporary file, so a slow sender holds neither a connection to Postgres nor memory, and
//! the hash of the content is known before the upload is processed. An upload holds only as much space of the [`Spool`] as
//! has arrived, and ends if it falls behind the slowest [`Pace`], so clients that send nothing do not block others.

mod disposition;
pub mod form;
mod pace;
mod space;

use std::io::SeekFrom;

use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};
use uuid::Uuid;

use crate::error::{Error, Reason, Result};

use pace::Pace;
pub use space::Spool;

/// The bytes that are read back at once.
pub const PIECE: usize = 512 * 1024;

/// An upload. The file has no name, so it is gone when the request ends, however it ends.
#[derive(Debug)]
pub struct Upload {
    file: File,
    hash: Sha256,
    max_bytes: usize,
    space: space::Reservation,
    pace: Pace,
    is_reading: bool,
}

impl Upload {
    /// Begins an upload of a principal, of at most `max_bytes`.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` while the principal has too many, `INTERNAL_ERROR` if the file can't be created.
    pub async fn begin(spool: &Spool, principal: Uuid, max_bytes: usize) -> Result<Self> {
        let space = spool.begin(principal)?;
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(Error::internal)?;
        let file = File::from_std(file.map_err(Error::internal)?);
        Ok(Self { file, hash: Sha256::new(), max_bytes, space, pace: Pace::start(), is_reading: false })
    }

    /// Waits for a piece from the sender.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` if it comes too late, and the errors of `piece`.
    pub async fn wait<T, E: From<Error>>(&self, piece: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.pace.keep(piece).await
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE`; `RATE_LIMIT_EXCEEDED` or `OVERLOADED` if the spool has no space for it.
    pub async fn push(&mut self, piece: &[u8]) -> Result<()> {
        if self.bytes() + piece.len() > self.max_bytes {
            let message = format!("A file of more than {} bytes is not taken.", self.max_bytes);
            return Err(Error::with_message(Reason::PayloadTooLarge, message));
        }
        self.space.grow(piece.len())?;
        self.pace.extend(piece.len());
        self.hash.update(piece);
        self.file.write_all(piece).await.map_err(Error::internal)
    }

    /// Returns the number of bytes received.
    pub fn bytes(&self) -> usize {
        self.space.bytes()
    }

    /// Returns the SHA-256 of the content.
    pub fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Returns the next [`PIECE`], from the first one on, or `None` after the last one.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the file can't be read back.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if !self.is_reading {
            self.rewind().await?;
        }
        let mut piece = Vec::with_capacity(PIECE.min(self.bytes()));
        (&mut self.file).take(PIECE as u64).read_to_end(&mut piece).await.map_err(Error::internal)?;
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// Returns the content as a file, at its beginning. It shares the position of [`Upload::next`], which goes on after
    /// [`Upload::rewind`].
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the file can't be read back.
    pub async fn content(&mut self) -> Result<std::fs::File> {
        self.rewind().await?;
        Ok(self.file.try_clone().await.map_err(Error::internal)?.into_std().await)
    }

    /// Makes [`Upload::next`] begin at the first piece again.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the file can't be read back.
    pub async fn rewind(&mut self) -> Result<()> {
        self.file.flush().await.map_err(Error::internal)?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(Error::internal)?;
        self.is_reading = true;
        Ok(())
    }
}
