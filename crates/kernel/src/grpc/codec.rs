//! How messages are encoded and decoded: by prost, once the items of their lists were counted.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::{Message, Name};
use tonic::{
    Status,
    codec::{DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::{
    contract::{self, lists::Refusal},
    error::{Error, Reason},
};

/// The codec of every generated server and client: encodes `T` and decodes `U`. `mainstay-build` names it in the code that
/// tonic generates.
///
/// A message whose lists have far more items than its rules allow is refused with `VALIDATION_FAILED`, before it takes the
/// memory of a decoded one. This is the one place that sees each message in one piece and without compression, whether it
/// is alone or one of a stream, and whether it came as such or as JSON.
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

/// Decodes messages of a type after their items were counted.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

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
        BoundedDecoder(ProstDecoder::default())
    }
}

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // A client may run without modules; it believes its server.
        if let Some(contract) = contract::installed() {
            let outcome = contract.lists.check(U::full_name, message.chunk());
            outcome.map_err(to_status)?;
        }
        self.0.decode(message)
    }
}

fn to_status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::TooMany { field, fault } => Error::field(field, fault).into(),
        Refusal::Malformed(cause) => Error::new(Reason::MalformedRequest).caused_by(anyhow::anyhow!(cause)).into(),
    }
}
