/** Uploads and downloads of files. */

import type { Schemas } from "./client";
import { send } from "./client";
import { ApiError } from "./errors";
import { accessToken, refresh } from "./session";

export type StoredFile = Schemas["File"];

/** The maximum size of one upload. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Uploads a file; a repetition under the same key stores it once. */
export async function upload(key: string, file: File, purpose: StoredFile["purpose"], accountId?: string): Promise<StoredFile> {
  if (file.size > MAX_BYTES) throw new ApiError(413, "PAYLOAD_TOO_LARGE", file.name);
  const query = new URLSearchParams({ name: file.name, purpose, ...(accountId && { accountId }) });
  const headers = { "content-type": file.type || "application/octet-stream", "idempotency-key": key };
  const response = await send(new Request(`/api/v1/files?${query}`, { method: "POST", headers, body: file }));
  return ((await response.json()) as { data: StoredFile }).data;
}

/** Saves a file. */
export async function download(id: string): Promise<void> {
  const link = document.createElement("a");
  link.href = await linkTo(id);
  link.rel = "noreferrer";
  link.click();
}

/**
 * Returns a short-lived URL of the content. In REST, a download is a redirect, which a script can't read, and which the
 * page's policy does not let it follow to another host. So the URL is fetched by gRPC-Web, and the browser navigates to
 * it.
 */
export async function linkTo(id: string): Promise<string> {
  return await askForLink(id).catch(async (error: unknown) => {
    if (!(error instanceof ApiError && error.status === 401)) throw error;
    await refresh();
    return askForLink(id);
  });
}

async function askForLink(id: string): Promise<string> {
  const text = new TextEncoder().encode(id);
  const frame = new Uint8Array([0, 0, 0, 0, text.length + 2, 0x0a, text.length, ...text]);
  const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", authorization: `Bearer ${accessToken() ?? ""}` };
  const response = await fetch("/mainstay.files.v1.FileService/DownloadFile", { method: "POST", headers, body: frame }).catch(() => {
    throw new ApiError(0, "OFFLINE", "", {}, undefined, true);
  });
  const body = new Uint8Array(await response.arrayBuffer());
  const message = body.length > 5 && body[0] === 0 ? body.subarray(5, 5 + new DataView(body.buffer).getUint32(1)) : undefined;
  const url = message && field(field(message));
  if (url) return new TextDecoder().decode(url);
  const trailers = new Headers(response.headers);
  for (const line of new TextDecoder().decode(body.subarray(5)).split("\r\n")) {
    const [name, ...value] = line.split(":");
    if (name && value.length > 0 && /^grpc-/.test(name)) trailers.set(name, value.join(":").trim());
  }
  const status = HTTP_OF_GRPC[Number(trailers.get("grpc-status") ?? 2)] ?? 500;
  throw new ApiError(status, "DOWNLOAD_FAILED", decodeURIComponent(trailers.get("grpc-message") ?? ""), {}, trailers.get("x-request-id") ?? undefined, status >= 500);
}

const HTTP_OF_GRPC: Readonly<Record<number, number>> = { 4: 504, 5: 404, 7: 403, 8: 429, 14: 503, 16: 401 };

/** Returns the bytes of field 1, which comes first in both messages. */
function field(message: Uint8Array | undefined): Uint8Array | undefined {
  if (message?.[0] !== 0x0a) return undefined;
  let [length, at, shift] = [0, 1, 0];
  for (;;) {
    const byte = message[at++] ?? 0;
    length |= (byte & 0x7f) << shift;
    shift += 7;
    if (byte < 0x80) return message.subarray(at, at + length);
  }
}
