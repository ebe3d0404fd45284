/** The client of the public API, typed by its OpenAPI document. */

import createClient from "openapi-fetch";

import type { components, paths } from "../../generated/api";
import { ApiError, errorOf, unreachable } from "./errors";
import { impersonation } from "./impersonation";
import { accessToken, endImpersonation, refresh, sessionGeneration } from "./session";
import { stepUp } from "./step-up";

export type Schemas = components["schemas"];

/**
 * How long a request is retried while an earlier one under its key runs, in milliseconds: twice the server's default
 * lease.
 */
const PATIENCE = 30_000;

const EXPIRED = new Set(["TOKEN_EXPIRED", "INVALID_TOKEN", "UNAUTHENTICATED"]);

async function attempt(request: Request): Promise<Response> {
  const headers = new Headers(request.headers);
  const token = accessToken();
  if (token) headers.set("authorization", `Bearer ${token}`);
  // The browser's cached copy is used only after revalidation, because changes made here must be visible at once.
  const response = await fetch(new Request(request, { headers, cache: "no-cache" })).catch((error: unknown) => {
    if (request.signal.aborted) throw error;
    throw unreachable();
  });
  if (!response.ok && response.status !== 304) throw await errorOf(response);
  return response;
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const stop = () => {
      clearTimeout(timer);
      fail(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      done();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/**
 * Sends a request, and retries while an earlier one under its idempotency key runs: its worker may have died, and
 * another worker takes over when the lease ends. The response is that of the earlier request.
 */
async function concluded(request: Request): Promise<Response> {
  for (const end = Date.now() + PATIENCE; ; ) {
    try {
      return await attempt(request.clone());
    } catch (error) {
      const runs = error instanceof ApiError && error.code === "IDEMPOTENCY_IN_PROGRESS";
      const wait = 1000 * ((runs ? error.retryAfter : undefined) ?? 1);
      if (!runs || Date.now() + wait > end) throw error;
      request.signal.throwIfAborted();
      await sleep(wait, request.signal);
    }
  }
}

/** Sends a request in the user's name. An expired token is replaced once, and the user authenticates again if that is required. */
export async function send(request: Request): Promise<Response> {
  for (const tried = new Set<string>(); ; ) {
    try {
      return await concluded(request);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) throw error;
      // The request is not repeated in the name of the staff.
      if (impersonation()) {
        await endImpersonation();
        throw error;
      }
      const remedy = error.code === "REAUTHENTICATION_REQUIRED" ? "step-up" : "refresh";
      if (tried.has(remedy)) throw error;
      tried.add(remedy);
      if (remedy === "step-up") await stepUp(error);
      // The refresh detects a revoked session, too.
      else if (EXPIRED.has(error.code) || error.code === "SESSION_REVOKED") {
        const generation = sessionGeneration();
        await refresh();
        // The request is not repeated in another account.
        if (sessionGeneration() !== generation) throw error;
      }
    }
  }
}

export const api = createClient<paths>({ baseUrl: location.origin, fetch: send });

/** Returns the body of a typed call, which throws an ApiError if it fails. */
export async function read<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

type ListResponse<T> = { data: readonly T[]; meta: { nextPageToken?: string } };

/** Reads all pages of a list sequentially; the token of the first page is empty. */
export async function readAll<T>(page: (pageToken: string) => Promise<ListResponse<T>>): Promise<T[]> {
  const items: T[] = [];
  let pageToken = "";
  do {
    const { data, meta } = await page(pageToken);
    items.push(...data);
    pageToken = meta.nextPageToken ?? "";
  } while (pageToken !== "");
  return items;
}

export type Query = Record<string, string | readonly string[] | undefined>;

export type Call = { method: string; path: string; query?: Query; body?: unknown; headers?: Record<string, string> };

/** Sends an operation that only the contract describes, and returns the JSON of the response; undefined if it has none. */
export async function call({ method, path, query = {}, body, headers = {} }: Call, signal?: AbortSignal): Promise<unknown> {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    for (const item of typeof value === "string" ? [value] : (value ?? [])) {
      if (item !== "") url.searchParams.append(name, item);
    }
  }
  const init: RequestInit = { method: method.toUpperCase(), headers };
  if (signal) init.signal = signal;
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, "content-type": "application/json" };
  }
  const response = await send(new Request(url, init));
  return response.status === 204 ? undefined : ((await response.json()) as unknown);
}

/** Returns the condition that a resource still has the displayed version. */
export function ifMatch(version: string | undefined): Record<string, string> {
  return version === undefined ? {} : { "If-Match": `"${version}"` };
}

export function newKey(): string {
  // `crypto.randomUUID` exists in secure contexts only; plain HTTP to another host is not one.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
