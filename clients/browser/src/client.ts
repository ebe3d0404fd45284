/** A thin client over the generated types: safe retries, typed errors, and streams. */

import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "../generated/mainstay.js";

export type Envelope = components["schemas"]["ErrorEnvelope"];

const ATTEMPTS = 5;

/** An error response: its reason, and the message of each invalid field. */
export class Refused extends Error {
  readonly reason: components["schemas"]["ErrorCode"];
  readonly fields: Record<string, string>;
  readonly requestId: string;

  constructor({ error }: Envelope) {
    super(error.message);
    this.reason = error.code;
    this.fields = error.fields;
    this.requestId = error.requestId;
  }
}

/** Returns the data of a response, or throws its error. */
export async function take<T>(answer: Promise<{ data?: T; error?: Envelope }>): Promise<T> {
  const { data, error } = await answer;
  if (error) {
    throw new Refused(error);
  }
  return data as T;
}

/** Sends a request and retries it where that can help. Writes carry an idempotency key, so they take effect once. */
async function send(request: Request): Promise<Response> {
  if (request.method !== "GET" && !request.headers.has("Idempotency-Key")) {
    request.headers.set("Idempotency-Key", crypto.randomUUID());
  }
  for (let attempt = 1; ; attempt++) {
    const last = attempt === ATTEMPTS;
    let wait = Math.random() * Math.min(5, 0.1 * 2 ** attempt);
    try {
      const answer = await fetch(request.clone());
      const repeatable = [409, 429, 502, 503, 504].includes(answer.status);
      if (last || !repeatable || !((await answer.clone().json()) as Envelope).error.retryable) {
        return answer;
      }
      wait = Number(answer.headers.get("Retry-After")) || wait;
    } catch (error) {
      // The connection broke: the request may have taken effect or not. A retry with the same key is safe.
      if (last || request.signal.aborted) {
        throw error;
      }
    }
    await new Promise((resume) => setTimeout(resume, wait * 1000));
  }
}

/** Returns a client of `baseUrl` that sends the access token that `token` returns, if any. */
export function connect(baseUrl: string, token: () => string | undefined): Client<paths> {
  const client = createClient<paths>({ baseUrl, fetch: send, querySerializer: { array: { style: "form", explode: true } } });
  client.use({
    onRequest({ request }) {
      const value = token();
      if (value) {
        request.headers.set("Authorization", `Bearer ${value}`);
      }
      return request;
    },
  });
  return client;
}

/** Yields the messages of a stream, one per line, as they arrive. */
export async function* lines<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const whole = (rest + piece.value).split("\n");
    rest = whole.pop() ?? "";
    yield* whole.map((line) => JSON.parse(line) as T);
  }
}
