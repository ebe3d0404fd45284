"""A thin client over the generated code: a channel, calls with safe retries, and typed errors."""

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.append(str(Path(__file__).parent / "generated"))

# Codes after which the request may have taken effect or not; a retry with the same key is safe.
TRANSIENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def channel(url: str) -> grpc.Channel:
    """A connection to `http://host:port` or `https://host`; all services share it."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials())
    return grpc.insecure_channel(parts.netloc)


@dataclass
class Refused(Exception):
    """An error response: its reason, and the message of each invalid field."""

    reason: str
    message: str
    fields: dict[str, str] = field(default_factory=dict)
    request_id: str = ""
    retry_after: float | None = None


def refused(error: grpc.RpcError) -> Refused:
    """Reads the `google.rpc` details. Without any, the error is not the server's: the gRPC code is the reason."""
    answer = Refused(error.code().name, error.details())
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RequestInfo,
                     error_details_pb2.RetryInfo):
            found = kind()
            if not detail.Unpack(found):
                continue
            match found:
                case error_details_pb2.ErrorInfo():
                    answer.reason = found.reason
                case error_details_pb2.BadRequest():
                    answer.fields = {broken.field: broken.description for broken in found.field_violations}
                case error_details_pb2.RequestInfo():
                    answer.request_id = found.request_id
                case error_details_pb2.RetryInfo():
                    answer.retry_after = found.retry_delay.ToTimedelta().total_seconds()
    return answer


def call(rpc, request, *, token=None, key=None, timeout=10.0, attempts=5):
    """Calls a unary RPC, with retries. Returns the response, and whether it is the stored one.

    Safe for reads, and for writes with an idempotency key, which take effect once.
    """
    metadata = [("authorization", f"Bearer {token}")] if token else []
    if key:
        metadata.append(("idempotency-key", key))
    for attempt in range(1, attempts + 1):
        try:
            answer, done = rpc.with_call(request, metadata=metadata, timeout=timeout)
            return answer, ("idempotent-replayed", "true") in done.initial_metadata()
        except grpc.RpcError as error:
            why = refused(error)
            repeatable = error.code() in TRANSIENT or why.retry_after is not None
            if attempt == attempts or not repeatable:
                raise why from error
            # The server's delay if it sent one; otherwise exponential backoff with full jitter.
            time.sleep(why.retry_after or random.uniform(0, min(5.0, 0.1 * 2**attempt)))
