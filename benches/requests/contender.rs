//! The contenders of a comparison.

/// A contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// REST to the peer, over HTTP/1.1.
    Peer,
    /// gRPC to the bare server.
    Bare,
    /// gRPC to the bare server behind the checks of a careful team.
    Careful,
    /// gRPC to the server.
    Grpc,
    /// REST to the server over HTTP/2, on as many connections as gRPC.
    Rest2,
    /// REST to the server over HTTP/1.1, with a connection per request in flight.
    Rest1,
}

impl Contender {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Peer => "Express, HTTP/1.1",
            Self::Bare => "bare gRPC",
            Self::Careful => "careful gRPC",
            Self::Grpc => "gRPC",
            Self::Rest2 => "REST, HTTP/2",
            Self::Rest1 => "REST, HTTP/1.1",
        }
    }
}
