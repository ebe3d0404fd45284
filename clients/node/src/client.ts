/** A thin client over the generated code: a transport that repeats what is safe to repeat, and errors that say what happened. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../generated/google/rpc/error_details_pb.js";

const ATTEMPTS = 5;

/** What may have been done or not: the same request, with the same key, finds out. */
const TRANSIENT = [Code.Unavailable, Code.DeadlineExceeded];

/** An error of the server: why, and what is wrong with which field. */
export class Refused extends Error {
  readonly reason: string;
  readonly fields: Record<string, string>;
  /** Milliseconds after which the same request may succeed, when the server says so. */
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

/** Repeats unary calls while that can help: every one carries a key, so however often it is sent, it happens once. */
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
      // As long as the server says, else longer each time, and never all callers at once.
      await sleep(why.retryAfter ?? Math.random() * Math.min(5000, 100 * 2 ** attempt), undefined, { signal: request.signal });
    }
  }
};

/** Sends the access token that `token` gives, if any. */
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
