//! gRPC server reflection, in both versions that tools ask for.
//!
//! `tonic-reflection` ends a stream at an unknown name, knows no extensions, and computes answers for a caller who does not read
//! them. Here, such a stream ends: it computes no more, and is cut off like any response that is not read. Each answer counts
//! against the limit of the caller's address.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream, stream::BoxStream};
use prost::Message;
use prost_reflect::{DescriptorPool, FileDescriptor};
use tokio::sync::mpsc;
use tonic::{Code, Request, Response, Status, Streaming, service::Routes};
use tonic_reflection::pb::{
    v1::{
        self, ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
        ServerReflectionRequest, ServerReflectionResponse, ServiceResponse, server_reflection_request::MessageRequest,
        server_reflection_response::MessageResponse,
    },
    v1alpha,
};

use crate::{
    caller::ClientAddress,
    error::{Error, Reason},
    rate_limit::{Charges, Limiter},
};

const UNREAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest request: names are short, and an answer repeats its request.
const MAX_REQUEST_BYTES: usize = 16 << 10;
/// The most characters of an unknown name in a message, which escapes them.
const MAX_NAME: usize = 200;

type Answers<A> = BoxStream<'static, Result<A, Status>>;

#[derive(Debug, Clone)]
struct Reflection(DescriptorPool);

#[derive(Debug, Clone)]
struct LimitedReflection {
    reflection: Reflection,
    limiter: Limiter,
}

/// Adds reflection of these descriptors, of the health service, and of itself.
/// Errors: descriptors that contradict each other, which the check of the modules rules out.
pub(crate) fn add(routes: Routes, descriptors: &DescriptorPool, limiter: &Limiter) -> anyhow::Result<Routes> {
    let mut pool = descriptors.clone();
    for more in [tonic_health::pb::FILE_DESCRIPTOR_SET, v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET] {
        pool.decode_file_descriptor_set(more)?;
    }
    let reflection = LimitedReflection { reflection: Reflection(pool), limiter: limiter.clone() };
    let first = v1::server_reflection_server::ServerReflectionServer::new(reflection.clone());
    let alpha = v1alpha::server_reflection_server::ServerReflectionServer::new(reflection);
    Ok(routes
        .add_service(first.max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(alpha.max_decoding_message_size(MAX_REQUEST_BYTES)))
}

#[tonic::async_trait]
impl v1::server_reflection_server::ServerReflection for LimitedReflection {
    type ServerReflectionInfoStream = Answers<ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        Ok(Response::new(self.start(request)))
    }
}

#[tonic::async_trait]
impl v1alpha::server_reflection_server::ServerReflection for LimitedReflection {
    type ServerReflectionInfoStream = Answers<v1alpha::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        Ok(Response::new(self.start(request)))
    }
}

impl LimitedReflection {
    /// Answers each request of a stream. The charge of the call covers the first answer.
    fn start<Q: Message + 'static, A: Message + Default + 'static>(
        &self,
        request: Request<Streaming<Q>>,
    ) -> Answers<A> {
        let limiter = self.limiter.clone();
        let address = request.extensions().get().map(|&ClientAddress(address)| address);
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let answers = self.reflection.clone().start(request.into_inner()).enumerate();
        let limited = answers.then(move |(number, answer)| {
            let limiter = limiter.clone();
            async move {
                let is_free = number == 0 || answer.is_err();
                if is_free || limiter.charge(&Charges::of_address(address)).await.allowed {
                    return answer;
                }
                Err(Error::new(Reason::RateLimitExceeded).into())
            }
        });
        limited.boxed()
    }
}

impl Reflection {
    /// Answers each request of a stream. The caller's reading paces the stream.
    fn start<Q, A>(self, requests: impl Stream<Item = Result<Q, Status>> + Send + 'static) -> Answers<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (answers, taken) = mpsc::channel(1);
        tokio::spawn(async move {
            // The requests end before the last status is sent, which waits for the caller.
            if !self.answer_all(requests, &answers).await {
                let late = Status::resource_exhausted("the answers were not read");
                answers.send(Err(late)).await.ok();
            }
        });
        stream::unfold(taken, async |mut taken| taken.recv().await.map(|answer| (answer, taken))).boxed()
    }

    /// Answers requests until they end or fail, or the stream ends. Returns whether the caller read the answers in time.
    async fn answer_all<Q: Message, A: Message + Default>(
        &self,
        requests: impl Stream<Item = Result<Q, Status>> + Send,
        answers: &mpsc::Sender<Result<A, Status>>,
    ) -> bool {
        let mut requests = pin!(requests);
        loop {
            let request = tokio::select! {
                request = requests.next() => request,
                () = answers.closed() => None,
            };
            let Some(request) = request else { return true };
            let answer = request.and_then(|request| self.translate(&request));
            let is_last = answer.is_err();
            match tokio::time::timeout(UNREAD_TIMEOUT, answers.send(answer)).await {
                Ok(Ok(())) if !is_last => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Answers a request of any version: their messages are the same on the wire.
    fn translate<A: Message + Default>(&self, request: &impl Message) -> Result<A, Status> {
        let request = ServerReflectionRequest::decode(&*request.encode_to_vec());
        let answer = request.map(|request| self.answer(request)).and_then(|answer| A::decode(&*answer.encode_to_vec()));
        answer.map_err(|error| Status::internal(error.to_string()))
    }

    fn answer(&self, request: ServerReflectionRequest) -> ServerReflectionResponse {
        let response = match &request.message_request {
            None => Err((Code::InvalidArgument, "the request asks for nothing".to_owned())),
            Some(MessageRequest::FileByFilename(name)) => {
                self.0.get_file_by_name(name).map(|file| describe(&file)).ok_or_else(|| unknown("file", name))
            }
            Some(MessageRequest::FileContainingSymbol(name)) => {
                self.file_of(name).map(|file| describe(&file)).ok_or_else(|| unknown("symbol", name))
            }
            Some(MessageRequest::FileContainingExtension(extension)) => {
                let (name, number) = (&extension.containing_type, extension.extension_number);
                let message = self.0.get_message_by_name(name);
                let found = message.and_then(|message| message.get_extension(u32::try_from(number).ok()?));
                found
                    .map(|extension| describe(&extension.parent_file()))
                    .ok_or_else(|| unknown("extension", &format!("{number} of {name}")))
            }
            Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
                let numbers = |message: prost_reflect::MessageDescriptor| {
                    let numbers = message.extensions().filter_map(|extension| i32::try_from(extension.number()).ok());
                    MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                        base_type_name: name.clone(),
                        extension_number: numbers.collect(),
                    })
                };
                self.0.get_message_by_name(name).map(numbers).ok_or_else(|| unknown("message", name))
            }
            Some(MessageRequest::ListServices(_)) => {
                let services =
                    self.0.services().map(|service| ServiceResponse { name: service.full_name().to_owned() });
                Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service: services.collect() }))
            }
        };
        let response = response.unwrap_or_else(|(code, error_message)| {
            MessageResponse::ErrorResponse(ErrorResponse { error_code: code.into(), error_message })
        });
        ServerReflectionResponse {
            valid_host: request.host.clone(),
            original_request: Some(request),
            message_response: Some(response),
        }
    }

    fn file_of(&self, name: &str) -> Option<FileDescriptor> {
        let Self(pool) = self;
        let of_type = || {
            let message = pool.get_message_by_name(name).map(|message| message.parent_file());
            let message = message.or_else(|| pool.get_enum_by_name(name).map(|kind| kind.parent_file()));
            let message = message.or_else(|| pool.get_service_by_name(name).map(|service| service.parent_file()));
            message.or_else(|| pool.get_extension_by_name(name).map(|extension| extension.parent_file()))
        };
        let of_member = || {
            let (parent, member) = name.rsplit_once('.')?;
            if let Some(message) = pool.get_message_by_name(parent) {
                let is_oneof = || message.oneofs().any(|oneof| oneof.name() == member);
                return (message.get_field_by_name(member).is_some() || is_oneof()).then(|| message.parent_file());
            }
            if let Some(service) = pool.get_service_by_name(parent) {
                let is_method = service.methods().any(|method| method.name() == member);
                return is_method.then(|| service.parent_file());
            }
            None
        };
        // A value is a sibling of its type (protobuf's scoping); tools also ask for it as a member of the type.
        let of_value = || {
            let value = pool.all_enums().find(|kind| {
                kind.values().any(|value| value.full_name() == name)
                    || name
                        .strip_prefix(kind.full_name())
                        .and_then(|rest| rest.strip_prefix('.'))
                        .is_some_and(|member| kind.get_value_by_name(member).is_some())
            });
            value.map(|kind| kind.parent_file())
        };
        of_type().or_else(of_member).or_else(of_value)
    }
}

fn describe(file: &FileDescriptor) -> MessageResponse {
    MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
        file_descriptor_proto: vec![file.encode_to_vec()],
    })
}

fn unknown(kind: &str, name: &str) -> (Code, String) {
    let name: String = name.chars().take(MAX_NAME).collect();
    (Code::NotFound, format!("there is no {kind} {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Result<ServerReflectionRequest, Status> {
        let list = MessageRequest::ListServices(String::new());
        Ok(ServerReflectionRequest { host: String::new(), message_request: Some(list) })
    }

    fn start(
        requests: impl Stream<Item = Result<ServerReflectionRequest, Status>> + Send + 'static,
    ) -> Answers<ServerReflectionResponse> {
        Reflection(DescriptorPool::global()).start(requests)
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_does_not_read_is_ended() {
        let mut answers = start(stream::repeat_with(list));
        for _ in 0..10 {
            tokio::time::sleep(UNREAD_TIMEOUT / 2).await;
            answers.next().await.expect("an answer").expect("a slow reader is waited for");
        }
        tokio::time::sleep(UNREAD_TIMEOUT * 2).await;
        let rest: Vec<_> = answers.collect().await;
        let last = rest.last().expect("a status").as_ref().expect_err("the end");
        assert_eq!(last.code(), Code::ResourceExhausted, "{last}");
        assert!(rest.len() <= 3, "{} answers were kept", rest.len());
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_requests() {
        assert_eq!(start(stream::iter([list(), list()])).count().await, 2);
        let failed = start(stream::iter([list(), Err(Status::cancelled("gone")), list()]));
        let codes: Vec<_> = failed.map(|answer| answer.err().map(|status| status.code())).collect().await;
        assert_eq!(codes, [None, Some(Code::Cancelled)]);
    }

    #[test]
    fn an_unknown_name_is_not_multiplied() {
        let long = MessageRequest::FileContainingSymbol("\u{1}".repeat(MAX_REQUEST_BYTES));
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(long) };
        let answer = Reflection(DescriptorPool::global()).answer(request).encoded_len();
        assert!(answer < MAX_REQUEST_BYTES + 2048, "{answer} bytes");
    }
}
