/** Server-sent events, read with fetch: the browser's EventSource sends no Authorization header. */

import { send } from "./client";
import { ApiError, unreachable } from "./errors";

export type ServerEvent = { id: string; data: string };

type Envelope = { error?: { code?: string; message?: string; requestId?: string; retryable?: boolean } };

/**
 * The maximum silence of a connection, in milliseconds. The server writes every 15 seconds, so a longer silence means a
 * lost connection.
 */
const SILENCE_MS = 40_000;

async function soon<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(unreachable()), SILENCE_MS);
  });
  return await Promise.race([work, silence]).finally(() => clearTimeout(timer));
}

/** Reads a stream to its end; an error in the stream is thrown. `lastId` is the id of the last event that was received. */
export async function* events(path: string, lastId: string, signal: AbortSignal): AsyncGenerator<ServerEvent> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  const response = await send(new Request(new URL(path, location.origin), { headers, signal }));
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await soon(reader.read()).catch((error: unknown) => {
        if (signal.aborted) throw error;
        throw unreachable();
      });
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** Parses the lines of one event; undefined for a comment, which only keeps the connection alive. */
function parse(block: string): ServerEvent | undefined {
  const fields: Record<string, string> = {};
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = /^([^:]+):? ?(.*)$/.exec(line) ?? [];
    if (name) fields[name] = name === "data" && fields["data"] !== undefined ? `${fields["data"]}\n${value}` : (value ?? "");
  }
  if (fields["data"] === undefined) return undefined;
  if (fields["event"] === "error") {
    const { error = {} } = JSON.parse(fields["data"]) as Envelope;
    throw new ApiError(200, error.code ?? "UNKNOWN", error.message ?? "", {}, error.requestId, error.retryable ?? true);
  }
  return { id: fields["id"] ?? "", data: fields["data"] };
}
