/**
 * The session: an access token in memory, and a refresh token in a cookie that no script can read.
 *
 * Tabs share the cookie, and each tab refreshes separately; a sign-out is broadcast to all of them.
 */

import { ApiError, errorOf, unreachable } from "./errors";

export type SessionState = "unknown" | "out" | "in";
type Tokens = { accessToken: string; expiresIn: number; sessionId: string };

/** How long before its expiry a token is replaced, in seconds. */
const MARGIN_S = 30;

let state: SessionState = "unknown";
let token: string | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let refreshing: Promise<void> | undefined;
const listeners = new Set<() => void>();
const tabs = new BroadcastChannel("mainstay-session");

tabs.onmessage = () => leave();

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function sessionState(): SessionState {
  return state;
}

export function accessToken(): string | undefined {
  return token;
}

function become(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}

function leave(): void {
  token = undefined;
  clearTimeout(timer);
  become("out");
}

function enter({ accessToken, expiresIn }: Tokens): void {
  token = accessToken;
  clearTimeout(timer);
  const wait = Math.max(expiresIn - MARGIN_S, expiresIn / 2);
  timer = setTimeout(() => void refresh().catch(() => undefined), Math.min(wait * 1000, 2 ** 31 - 1));
  if (state !== "in") become("in");
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const init: RequestInit = { method, credentials: "same-origin" };
  if (body !== undefined) Object.assign(init, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  const response = await fetch(path, init).catch(() => {
    throw unreachable();
  });
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function signIn(email: string, password: string): Promise<void> {
  const response = await send("POST", "/session", { email, password });
  enter(((await response.json()) as { data: Tokens }).data);
}

/** Gets a new access token; concurrent callers share one request. A rejected refresh signs the user out. */
export function refresh(): Promise<void> {
  refreshing ??= renew().finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

async function renew(): Promise<void> {
  try {
    const response = await send("POST", "/session/refresh");
    enter(((await response.json()) as { data: Tokens }).data);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) leave();
    throw error;
  }
}

/** Resumes the session of the cookie; without one, the sign-in is shown. Throws if the outcome is unknown. */
export async function resume(): Promise<void> {
  await refresh().catch((error: unknown) => {
    if (state === "unknown") throw error;
  });
}

export async function signOut(): Promise<void> {
  await send("DELETE", "/session");
  tabs.postMessage("out");
  leave();
}
