//! The gRPC codec: prost, preceded by a limit on the items of repeated fields.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::{Message, Name};
use tonic::{
    Status,
    codec::{DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::{
    context,
    contract::lists::{Lists, Refusal},
    error::{Error, Reason},
};

/// The codec of every generated server and client: encodes `T` and decodes `U`. `mainstay-build` names it in the code
/// that tonic generates.
///
/// A message whose lists far exceed their rules is rejected with `VALIDATION_FAILED` before it is decoded, which bounds
/// memory. The codec is the only place that sees each message complete and uncompressed: unary or streamed, protobuf or
/// transcoded JSON.
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

/// A decoder that first counts the items of a message.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U> {
    inner: ProstDecoder<U>,
    /// The bounds of the server whose request is decoded. A client has none, and accepts any response.
    lists: Option<&'static Lists>,
}

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + 'static,
    U: Message + Name + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder { inner: ProstDecoder::default(), lists: context::lists() }
    }
}

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if let Some(lists) = self.lists {
            lists.check(U::full_name, message.chunk()).map_err(to_status)?;
        }
        self.inner.decode(message)
    }
}

fn to_status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::TooMany { field, fault } => Error::field(field, fault).into(),
        Refusal::Malformed(cause) => Error::new(Reason::MalformedRequest).caused_by(anyhow::anyhow!(cause)).into(),
    }
}
