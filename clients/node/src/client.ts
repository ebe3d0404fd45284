/** A thin client over the generated code: a transport with safe retries, and typed errors. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../generated/google/rpc/error_details_pb.js";

const ATTEMPTS = 5;

/** Codes after which the request may have taken effect or not; a retry with the same key is safe. */
const TRANSIENT = [Code.Unavailable, Code.DeadlineExceeded];

/** An error response: its reason, and the message of each invalid field. */
export class Refused extends Error {
  readonly reason: string;
  readonly fields: Record<string, string>;
  /** Milliseconds after which the same request may succeed, if the server sent a delay. */
  readonly retryAfter: number | undefined;

  constructor(cause: ConnectError) {
    super(cause.rawMessage, { cause });
    this.reason = cause.findDetails(ErrorInfoSchema)[0]?.reason ?? Code[cause.code];
    const broken = cause.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
    this.fields = Object.fromEntries(broken.map((violation) => [violation.field, violation.description]));
    const wait = cause.findDetails(RetryInfoSchema)[0]?.retryDelay;
    this.retryAfter = wait && Number(wait.seconds) * 1000 + wait.nanos / 1e6;
  }
}

/** Retries unary calls where that can help. Each carries an idempotency key, so it takes effect once. */
const retry: Interceptor = (next) => async (request) => {
  if (request.stream) {
    return next(request);
  }
  if (!request.header.has("idempotency-key")) {
    request.header.set("idempotency-key", randomUUID());
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(request);
    } catch (error) {
      const cause = ConnectError.from(error);
      const why = new Refused(cause);
      const repeatable = TRANSIENT.includes(cause.code) || why.retryAfter !== undefined;
      if (attempt === ATTEMPTS || !repeatable || request.signal.aborted) {
        throw cause;
      }
      // The server's delay if it sent one; otherwise exponential backoff with full jitter.
      await sleep(why.retryAfter ?? Math.random() * Math.min(5000, 100 * 2 ** attempt), undefined, { signal: request.signal });
    }
  }
};

/** Sends the access token that `token` returns, if any. */
const authorize = (token: () => string | undefined): Interceptor => (next) => (request) => {
  const value = token();
  if (value) {
    request.header.set("authorization", `Bearer ${value}`);
  }
  return next(request);
};

/** A connection to `http://host:port` or `https://host`; all services share it. */
export function connect(baseUrl: string, token: () => string | undefined): Transport {
  return createGrpcTransport({ baseUrl, interceptors: [retry, authorize(token)], defaultTimeoutMs: 10_000 });
}
