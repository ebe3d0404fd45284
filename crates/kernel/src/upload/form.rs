//! The body of an upload: raw bytes, or a form with one file (multipart/form-data, RFC 7578), read as it comes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use multer::{Field, Multipart};
use parking_lot::Mutex;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{
    error::{Error, Reason, Result},
    grpc::unreadable,
    upload::{
        Upload,
        disposition::{Disposition, parameter},
    },
};

/// What may come before the content of the file, which is all other parts and the headers of its own, and what may come
/// after it.
const MAX_OVERHEAD_BYTES: usize = 64 << 10;
/// What the parser gets at once of that.
const SMALL_PIECE: usize = 4 << 10;
/// The largest part beside the file.
const MAX_FIELD_BYTES: usize = 1024;

/// What came with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadMetadata {
    /// The media type of the file; empty if the client sent none.
    pub content_type: String,
    /// The name of the file, without a path; empty if the client sent none.
    pub file_name: String,
    /// The parts of the form before the file.
    pub fields: Vec<(String, String)>,
}

/// Returns whether a body of this type is a form.
pub fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("multipart/form-data")
}

/// Reads the body of a request into an upload.
///
/// # Errors
/// `MALFORMED_REQUEST` for a form that can't be read, `VALIDATION_FAILED` for one without a file or with several, and the
/// errors of the upload and of `pieces`.
pub async fn receive(
    upload: &mut Upload,
    content_type: &str,
    pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Result<UploadMetadata> {
    if !is_form(content_type) {
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = upload.wait(async { pieces.next().await.transpose().map_err(of_stream) }).await? {
            upload.push(&piece).await?;
        }
        return Ok(UploadMetadata { content_type: content_type.to_owned(), ..UploadMetadata::default() });
    }
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty());
    let boundary = boundary.ok_or_else(|| malformed("The form has no boundary."))?;
    // The parser keeps what it can't use yet. Beside the file, that is not much.
    let allowance = Arc::new(AtomicUsize::new(MAX_OVERHEAD_BYTES));
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let counted = pieces.inspect_ok(move |piece| {
        count.fetch_add(piece.len(), Ordering::Relaxed);
    });
    let mut pieces = Pieces(Arc::new(Mutex::new(counted.boxed())));
    let form = Multipart::new(feed(pieces.clone(), allowance.clone()), boundary);
    let (metadata, before) = read(upload, form, &allowance).await?;
    // The parser stops at the end of the form, and drops what it has not read of that piece. The end of the body may
    // come later, in a separate frame: until then the request has not arrived, and its connection takes no other.
    loop {
        let content = upload.bytes() + before;
        if received.load(Ordering::Relaxed).saturating_sub(content) > MAX_OVERHEAD_BYTES {
            return Err(too_much());
        }
        let piece = upload.wait(async { pieces.next().await.transpose().map_err(of_stream) }).await?;
        if piece.is_none() {
            return Ok(metadata);
        }
    }
}

/// The pieces of a body, which the parser reads first.
#[derive(Clone)]
struct Pieces(Arc<Mutex<BoxStream<'static, Result<Bytes, Status>>>>);

impl Stream for Pieces {
    type Item = Result<Bytes, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().poll_next_unpin(context)
    }
}

async fn read(
    upload: &mut Upload,
    mut form: Multipart<'static>,
    allowance: &AtomicUsize,
) -> Result<(UploadMetadata, usize)> {
    let mut metadata = UploadMetadata::default();
    while let Some(mut field) = upload.wait(next_field(&mut form)).await? {
        let Disposition { name, file_name } = Disposition::read(field.headers());
        let Some(file_name) = file_name else {
            let text = upload.wait(text(&mut field)).await?;
            metadata.fields.push((name, text));
            continue;
        };
        metadata.file_name = base_name(&file_name);
        metadata.content_type = field.content_type().map(ToString::to_string).unwrap_or_default();
        let before = MAX_OVERHEAD_BYTES.saturating_sub(allowance.load(Ordering::Relaxed));
        allowance.store(upload.max_bytes + MAX_OVERHEAD_BYTES, Ordering::Relaxed);
        while let Some(piece) = upload.wait(chunk(&mut field)).await? {
            upload.push(&piece).await?;
        }
        drop(field);
        allowance.store(MAX_OVERHEAD_BYTES, Ordering::Relaxed);
        if upload.wait(next_field(&mut form)).await?.is_some() {
            return Err(Error::field("file", "must be one file, and the last part of the form"));
        }
        return Ok((metadata, before));
    }
    Err(Error::field("file", "is required: the form has no file"))
}

fn too_much() -> Error {
    malformed("The form has too much beside the file.")
}

fn malformed(message: &'static str) -> Error {
    Error::with_message(Reason::MalformedRequest, message)
}

async fn next_field(form: &mut Multipart<'static>) -> Result<Option<Field<'static>>> {
    form.next_field().await.map_err(of_form)
}

async fn chunk(field: &mut Field<'static>) -> Result<Option<Bytes>> {
    field.chunk().await.map_err(of_form)
}

async fn text(field: &mut Field<'static>) -> Result<String> {
    let mut text = Vec::new();
    while let Some(piece) = chunk(field).await? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_FIELD_BYTES {
            return Err(malformed("A part of the form is too long."));
        }
    }
    String::from_utf8(text).map_err(|_| malformed("A part of the form is not UTF-8."))
}

/// Some browsers send the path of the file.
fn base_name(file_name: &str) -> String {
    file_name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

/// Passes pieces on to the parser while it may have more of them. One at a time, for it takes all that are ready, and would
/// keep a file that arrives faster than it is spooled; and small ones beside the file, for it reads ahead for every part.
fn feed(mut pieces: Pieces, allowance: Arc<AtomicUsize>) -> impl Stream<Item = Result<Bytes, Status>> + Send + 'static {
    let (mut rest, mut was_ready) = (Bytes::new(), false);
    stream::poll_fn(move |context| {
        if std::mem::take(&mut was_ready) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if rest.is_empty() {
            match std::task::ready!(pieces.poll_next_unpin(context)) {
                Some(Ok(piece)) => rest = piece,
                end => return Poll::Ready(end),
            }
        }
        let budget = allowance.load(Ordering::Relaxed);
        if budget == 0 {
            return Poll::Ready(Some(Err(too_much().into())));
        }
        let most = if budget > MAX_OVERHEAD_BYTES { budget } else { budget.min(SMALL_PIECE) };
        let piece = rest.split_to(rest.len().min(most));
        allowance.store(budget - piece.len(), Ordering::Relaxed);
        was_ready = true;
        Poll::Ready(Some(Ok(piece)))
    })
}

fn of_form(error: multer::Error) -> Error {
    let multer::Error::StreamReadFailed(source) = error else {
        return malformed("The form can't be read.").caused_by(error);
    };
    match source.downcast::<Status>() {
        Ok(status) => of_stream(*status),
        Err(other) => malformed("The form can't be read.").caused_by(anyhow::anyhow!("{other}")),
    }
}

fn of_stream(status: Status) -> Error {
    let status = unreadable(status);
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let fields = fields.into_iter().map(|violation| (violation.field, violation.description)).collect();
    // The codec and the transcoder refuse with reasons of the machinery; tonic's own errors have none.
    let named = status.get_details_error_info().and_then(|info| Reason::from_code(&info.reason));
    let reason = named.unwrap_or_else(|| Reason::from_grpc(status.code()));
    Error::with_message(reason, status.message().to_owned()).about(fields).caused_by(status)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::upload::Spool;

    const FILE: &[u8] = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    const MAX_BYTES: usize = 1 << 20;

    /// Begins an upload of at most [`MAX_BYTES`].
    async fn begin() -> Upload {
        Upload::begin(&Spool::new(usize::MAX, 1), Uuid::nil(), MAX_BYTES).await.expect("an upload")
    }

    /// Receives a form that goes on with the same piece for ever, each when it is asked for or all at once. Returns why it
    /// is refused, and how many bytes were read of it.
    async fn receive_endless(head: &[u8], piece: &'static [u8], at_once: bool) -> (Error, usize) {
        let mut upload = begin().await;
        let read = Arc::new(AtomicUsize::new(0));
        let (head, count) = (Bytes::copy_from_slice(head), read.clone());
        let pieces = stream::once(async { head }).chain(stream::repeat(Bytes::from_static(piece)));
        // Not for ever if nothing ends it.
        let pieces = pieces.take(100 * MAX_BYTES / piece.len()).then(move |piece| async move {
            if !at_once {
                tokio::task::yield_now().await;
            }
            Ok(piece)
        });
        let pieces = pieces.inspect_ok(move |piece| {
            count.fetch_add(piece.len(), Ordering::Relaxed);
        });
        let error = receive(&mut upload, "multipart/form-data; boundary=x", pieces).await.expect_err("an endless form");
        (error, read.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_form_without_an_end_is_not_kept() {
        const PIECE: [u8; 1024] = [b'y'; 1024];
        let after = [FILE, b"abc\r\n--x\r\nx: "].concat();
        for (beginning, reason, most) in [
            (&b"--x\r\nx: "[..], Reason::MalformedRequest, MAX_OVERHEAD_BYTES),
            (&after, Reason::MalformedRequest, after.len() + MAX_OVERHEAD_BYTES),
            (FILE, Reason::PayloadTooLarge, MAX_BYTES),
        ] {
            for at_once in [false, true] {
                let (error, read) = receive_endless(beginning, &PIECE, at_once).await;
                assert_eq!(error.reason(), reason, "{beginning:?}, {at_once}");
                assert!(read <= most + 2 * PIECE.len(), "{read} bytes of {beginning:?}, {at_once}");
            }
        }
    }

    /// A form ends with its last boundary; its body with a frame that may come later. What comes between them has no
    /// meaning (RFC 2046, 5.1.1), and a bound.
    #[tokio::test]
    async fn a_body_is_read_to_its_end() {
        let form = [FILE, b"abc\r\n--x--\r\n"].concat();
        for (epilogue, is_accepted) in [(0, true), (1000, true), (2 * MAX_OVERHEAD_BYTES, false)] {
            let mut upload = begin().await;
            let was_read = Arc::new(AtomicUsize::new(0));
            let (head, count) = (Bytes::copy_from_slice(&form), was_read.clone());
            let end = stream::iter(0..2).then(move |_| {
                let count = count.clone();
                async move {
                    tokio::task::yield_now().await;
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(Bytes::from(vec![b'z'; epilogue / 2]))
                }
            });
            let pieces = stream::once(async { Ok(head) }).chain(end);
            let result = receive(&mut upload, "multipart/form-data; boundary=x", pieces).await;
            assert_eq!((was_read.load(Ordering::Relaxed), upload.bytes()), (2, 3), "{epilogue}");
            assert_eq!(result.is_ok(), is_accepted, "{epilogue}");
        }
    }

    /// The parser has all of such a body at once, and reads no further than to the last boundary.
    #[tokio::test]
    async fn an_epilogue_in_the_piece_of_the_file_has_a_bound() {
        for (epilogue, is_accepted) in
            [(1000, true), (MAX_OVERHEAD_BYTES - 100, true), (MAX_OVERHEAD_BYTES + 5000, false)]
        {
            for content in [3, 200_000] {
                let file = vec![b'y'; content];
                let form = [FILE, &file, b"\r\n--x--\r\n", &vec![b'z'; epilogue]].concat();
                let mut upload = begin().await;
                let pieces = stream::once(async { Ok(Bytes::from(form)) });
                let result = receive(&mut upload, "multipart/form-data; boundary=x", pieces).await;
                assert_eq!(result.is_ok(), is_accepted, "{epilogue} bytes after {content}");
            }
        }
    }

    #[tokio::test]
    async fn large_pieces_may_begin_with_several_parts() {
        let field = |name| format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{name}\r\n");
        let head = ["one", "two", "three", "four"].map(field).concat();
        let form = [head.as_bytes(), FILE, &[b'y'; MAX_BYTES], b"\r\n--x--\r\n"].concat();
        for size in [1000, 100_000, form.len()] {
            let mut upload = begin().await;
            let pieces: Vec<_> = form.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let result = receive(&mut upload, "multipart/form-data; boundary=x", stream::iter(pieces)).await;
            let fields = result.unwrap_or_else(|error| panic!("{size}: {}", error.detail())).fields;
            assert_eq!((fields.len(), upload.bytes()), (4, MAX_BYTES), "{size}");
        }
    }

    /// Mail libraries and old HTTP clients write other headers than browsers.
    #[tokio::test]
    async fn a_file_is_found_by_any_of_its_names() {
        for (content_type, parameter, expected) in [
            ("multipart/form-data;\tboundary=----=_Part_1", &b"filename*=utf-8''%D1%84.txt"[..], "ф.txt"),
            ("multipart/form-data; boundary=\"----=_Part_1\"", b"Filename=\"C:\\Gr\xfc\xdfe.txt\"", "Grüße.txt"),
        ] {
            let (head, end) = (&b"------=_Part_1\r\ncontent-disposition: form-data; name=file; "[..], b"\r\n\r\nabc");
            let form = Bytes::from([head, parameter, end, b"\r\n------=_Part_1--\r\n"].concat());
            let mut upload = begin().await;
            let metadata = receive(&mut upload, content_type, stream::once(async { Ok(form) })).await;
            let metadata = metadata.unwrap_or_else(|error| panic!("{expected}: {}", error.detail()));
            assert_eq!((&*metadata.file_name, upload.bytes()), (expected, 3));
        }
    }

    #[test]
    fn a_path_is_cut_down_to_its_name() {
        assert_eq!(base_name("C:\\fake\\a.png"), "a.png");
        assert_eq!(base_name("../../etc/passwd"), "passwd");
    }
}
