//! RPC bodies: read the message, make one call, write the answer.
//!
//! [`Call`] is what the perimeter made of a request: the message, whose field rules hold, the permit, the idempotency
//! claim, and If-Match. A service turns the message into domain types, hands them to one operation, and renders what
//! comes back. It sets no status and no header; `perimeter::answer` derives those.

pub mod auth;
pub mod comment;
pub mod mask;
pub mod page;
pub mod render;
pub mod service_key;
pub mod session;
pub mod ticket;
pub mod user;

use prost::Message;
use prost_types::FieldMask;
use tonic::{Request, Response, Status};

use crate::{
    app::App,
    caller::Permit,
    contract::{Method, Validate},
    error::{Error, Reason, Result},
    ops::work::{self, Answer, Claim},
    perimeter::answer,
    store::Connection,
};

use mask::ReadMask;

/// What an RPC body returns.
pub type Reply<T> = Result<Response<T>, Status>;

/// The key a request came with, if its method takes one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub String);

/// An admitted request.
#[derive(Debug)]
pub struct Call<M> {
    /// The request; its field rules hold.
    pub message: M,
    /// The method's policy.
    pub method: &'static Method,
    permit: Option<Permit>,
    claim: Option<Claim>,
    /// The versions the caller allows, if it said so.
    pub if_match: Option<Expected>,
    mask: ReadMask,
}

/// What If-Match allows (RFC 9110, 13.1.1): one of these versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(Vec<i64>);

impl Expected {
    /// Reads the header; `None` for `*`, which any existing resource fulfils. A tag of another form, or a weak one,
    /// matches nothing.
    pub fn parse(header: &str) -> Option<Self> {
        if header.trim() == "*" {
            return None;
        }
        let version = |tag: &str| {
            let tag = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
            tag.split(['-', '.']).next()?.parse().ok()
        };
        Some(Self(header.split(',').filter_map(version).collect()))
    }

    /// Whether a resource of this version may be changed.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn check(expected: Option<&Self>, version: i64) -> Result<()> {
        match expected {
            Some(Self(versions)) if !versions.contains(&version) => Err(Reason::EtagMismatch.into()),
            _ => Ok(()),
        }
    }
}

impl<M: Message + Validate> Call<M> {
    /// Takes a request over from the perimeter.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` with every violation.
    pub fn admit(request: Request<M>) -> Result<Self> {
        let (metadata, extensions, message) = request.into_parts();
        let method = extensions.get::<&'static Method>().copied();
        let method = method.ok_or_else(|| Error::internal(anyhow::anyhow!("the perimeter was bypassed")))?;
        message.check().map_err(|violations| Error::validation(violations.into_inner()))?;
        let permit = extensions.get::<Permit>().cloned();
        let claim = match (extensions.get::<IdempotencyKey>(), &permit) {
            (Some(key), Some(permit)) => Some(Claim::new(method, permit.caller().principal(), &key.0, &message)),
            _ => None,
        };
        let if_match = metadata.get("if-match").filter(|_| method.conditional).and_then(|value| value.to_str().ok());
        Ok(Self {
            message,
            method,
            permit,
            claim,
            if_match: if_match.and_then(Expected::parse),
            mask: ReadMask::default(),
        })
    }
}

impl<M> Call<M> {
    /// Answers with the fields of the mask only.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a path that is no field.
    pub fn mask(&mut self, mask: Option<FieldMask>) -> Result<()> {
        self.mask = ReadMask::parse(&self.method.descriptor.output(), mask)?;
        Ok(())
    }

    /// The names of the fields that the patch in `field` is to change.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a path that is no field, and when nothing is left to change.
    pub fn update_paths<P: Message>(&self, field: &str, patch: &P, mask: Option<FieldMask>) -> Result<Vec<String>> {
        let descriptor = self.method.descriptor.input().get_field_by_name(field);
        let descriptor = descriptor.and_then(|field| field.kind().as_message().cloned());
        let descriptor = descriptor.ok_or_else(|| Error::internal(anyhow::anyhow!("no patch {field}")))?;
        mask::update_paths(patch, &descriptor, mask)
    }

    /// The proof that the caller may.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the method is public, which is a mistake in this program.
    pub fn permit(&self) -> Result<Permit> {
        self.permit.clone().ok_or_else(|| Error::internal(anyhow::anyhow!("{} is public", self.method.name)))
    }

    /// Runs a write as one unit of work and renders its answer.
    ///
    /// # Errors
    /// What the operation fails with, or its idempotency key.
    pub async fn write<T, R, D, F>(&mut self, app: &App, decide: D, render: F) -> Result<Response<R>, Status>
    where
        T: Send + 'static,
        R: Message + Default + 'static,
        D: for<'c> FnOnce(&'c mut Connection) -> futures_util::future::BoxFuture<'c, Result<T>> + Send + 'static,
        F: FnOnce(T) -> R + Send + 'static,
    {
        let answer = work::run(app, self.claim.take(), decide, render).await?;
        answer::respond(self.method, &self.mask, answer)
    }

    /// Answers a read.
    ///
    /// # Errors
    /// Never for a method that answers with what it read.
    pub fn read<R: Message + Default>(&self, message: R) -> Result<Response<R>, Status> {
        answer::respond(self.method, &self.mask, Answer::Fresh(message))
    }
}
