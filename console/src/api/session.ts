/**
 * The session: an access token in memory, and a refresh token in a cookie that no script can read.
 *
 * Tabs share the cookie, and each tab refreshes separately; a sign-out and a switch of the account are broadcast to all
 * of them.
 */

import { ApiError, errorOf, unreachable } from "./errors";
import { impersonation, setImpersonation } from "./impersonation";

/** A limited session is only good for a second factor. */
export type SessionState = "unknown" | "out" | "limited" | "in";
type Tokens = { accessToken: string; expiresIn: number; sessionId: string; accountId?: string | null; secondFactorRequired: boolean };

/** How long before its expiry a token is replaced, in seconds. */
const MARGIN_S = 30;

let state: SessionState = "unknown";
let token: string | undefined;
let account: string | undefined;
let generation = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let refreshing: Promise<void> | undefined;
const listeners = new Set<() => void>();
const renewals = new Set<() => void>();
const tabs = new BroadcastChannel("mainstay-session");

tabs.onmessage = ({ data }) => {
  if (data === "account") void refresh().catch(() => undefined);
  else leave();
};

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls a listener after each refresh within one account. */
export function onRenewal(listener: () => void): () => void {
  renewals.add(listener);
  return () => renewals.delete(listener);
}

export function sessionState(): SessionState {
  return state;
}

/** Returns a number that changes with the account of the session: what was read before is no longer valid then. */
export function sessionGeneration(): number {
  return generation;
}

export function accessToken(): string | undefined {
  return impersonation()?.token ?? token;
}

/** Acts in the name of a user, in this tab, until `endImpersonation`. */
export function impersonate(id: string, accessToken: string, userName: string): void {
  setImpersonation({ id, token: accessToken, userName });
  startOver();
}

/** Continues as the staff, whether or not the server can be told. */
export async function endImpersonation(): Promise<void> {
  const ended = impersonation();
  if (!ended) return;
  setImpersonation(undefined);
  startOver();
  await refresh();
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  await fetch(`/api/v1/impersonations/${ended.id}/end`, { method: "POST", headers, body: "{}" }).catch(() => undefined);
}

function become(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}

function leave(): void {
  setImpersonation(undefined);
  token = undefined;
  clearTimeout(timer);
  become("out");
}

function enter({ accessToken, expiresIn, accountId, secondFactorRequired }: Tokens): void {
  if (destination !== undefined && !secondFactorRequired) return location.replace(destination);
  token = accessToken;
  clearTimeout(timer);
  const wait = Math.max(expiresIn - MARGIN_S, expiresIn / 2);
  timer = setTimeout(() => void refresh().catch(() => undefined), Math.min(wait * 1000, 2 ** 31 - 1));
  const isOther = (accountId ?? undefined) !== account;
  account = accountId ?? undefined;
  const next = secondFactorRequired ? "limited" : "in";
  if (state !== next) become(next);
  else if (isOther) startOver();
  else for (const listener of renewals) listener();
}

/** Leaves the pages of the account before for the home page. */
function startOver(): void {
  history.pushState(null, "", "/console/");
  generation += 1;
  become("in");
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const init: RequestInit = { method, credentials: "same-origin" };
  if (body !== undefined) Object.assign(init, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  const response = await fetch(path, init).catch(() => {
    throw unreachable();
  });
  if (!response.ok) {
    const error = await errorOf(response);
    // The account requires its own provider. One that has just refused the person would do so again and again.
    const isRefused = path === "/session/refresh" && arrival.error !== undefined;
    const provider = error.code === "PROVIDER_REQUIRED" && !isRefused ? error.metadata["provider"] : undefined;
    if (provider !== undefined) location.assign(providerUrl(provider));
    throw error;
  }
  return response;
}

async function exchange(path: string, body?: unknown): Promise<void> {
  const response = await send("POST", path, body);
  enter(((await response.json()) as { data: Tokens }).data);
}

/** Signs in, or returns the challenge that a second factor answers. */
export function signIn(email: string, password: string): Promise<string | undefined> {
  return prove("/session", { email, password });
}

/** Asks for a mail with a link and a code, which a cookie binds to this browser. An unknown address gets none. */
export async function askForMail(email: string): Promise<void> {
  await send("POST", "/session/mail", { email });
}

/** Signs in with the code of that mail, like `signIn`. */
export function signInWithMailCode(code: string): Promise<string | undefined> {
  return prove("/session/mail/code", { code });
}

async function prove(path: string, body: unknown): Promise<string | undefined> {
  const response = await send("POST", path, body);
  const { data, challenge } = (await response.json()) as { data?: Tokens; challenge?: { token: string } };
  if (data) enter(data);
  return challenge?.token;
}

/** What answers a challenge, and whether the next sign-ins of this browser need no second factor. */
export type ChallengeAnswer = ({ code: string } | { passkey: string }) & { rememberDevice: boolean };

/** Answers a challenge; without a token, that of the sign-in with a provider, which is in a cookie. */
export function answerChallenge(challengeToken: string | undefined, answer: ChallengeAnswer): Promise<void> {
  return exchange("/session/second-factor", { ...(challengeToken !== undefined && { challengeToken }), ...answer });
}

/** How a challenge may be answered: the options for a passkey, if the user has one, and for how long the browser can be remembered, if it can. */
export type ChallengeOptions = { options: string | null; rememberSeconds: number | null };

export async function challengeOptions(challengeToken: string | undefined): Promise<ChallengeOptions> {
  const response = await send("POST", "/session/second-factor/options", challengeToken === undefined ? undefined : { challengeToken });
  return ((await response.json()) as { data: ChallengeOptions }).data;
}

/** Begins a sign-in with a passkey alone, and returns its options. */
export async function beginPasskeySignIn(): Promise<string> {
  const response = await send("POST", "/session/passkey/options");
  return ((await response.json()) as { data: { options: string } }).data.options;
}

export function signInWithPasskey(credential: string): Promise<void> {
  return exchange("/session/passkey", { credential });
}

/** How a sign-in with a provider ended that led to this page. */
export type Arrival = { outcome?: string; error?: string };

/** Reads the arrival off the URL, which a reload or a bookmark must not repeat. */
function readArrival(): Arrival {
  const url = new URL(location.href);
  const [outcome, error] = ["sign_in", "sign_in_error"].map((name) => url.searchParams.get(name) ?? undefined);
  if (outcome === undefined && error === undefined) return {};
  url.searchParams.delete("sign_in");
  url.searchParams.delete("sign_in_error");
  history.replaceState(history.state, "", url);
  return { ...(outcome !== undefined && { outcome }), ...(error !== undefined && { error }) };
}

export const arrival = readArrival();

/** The page of this server that waits for a sign-in, on behalf of an application or a device; no other page. */
function readDestination(): string | undefined {
  const path = new URL(location.href).searchParams.get("return");
  return path !== null && /^\/session\/(authorize|device)\?/.test(path) ? path : undefined;
}

const destination = readDestination();

/** Whether a sign-in with a provider has led here. A page of this origin continues, because no other one sends the cookie. */
const hasArrived = new URL(location.href).searchParams.has("arrived");

/** Returns the URL at which a browser begins a sign-in with a provider that ends at this page, or at the one that waits. */
export function providerUrl(name: string): string {
  const path = destination === undefined ? location.pathname + location.search : `/console/?return=${encodeURIComponent(destination)}&arrived`;
  // The application asks for a new sign-in, whose time a provider states only if it authenticates the person again.
  const isFresh = /[?&](max_age=|prompt=[^&]*(login|select))/.test(destination ?? "");
  return `/auth/oidc/${name}?return=${encodeURIComponent(path)}${isFresh ? "&fresh" : ""}`;
}

/** Leaves for a provider, to link an identity to the signed-in user. */
export async function linkIdentity(name: string): Promise<void> {
  const response = await send("POST", `/session/oidc/${name}`, { returnPath: location.pathname });
  location.assign(((await response.json()) as { data: { url: string } }).data.url);
}

/**
 * Gets a new access token; concurrent callers share one request. A rejected refresh signs the user out. A session whose account
 * another page has switched leads to the home page of that account.
 */
export function refresh(): Promise<void> {
  return alone(async () => {
    try {
      await exchange("/session/refresh", account === undefined ? undefined : { accountId: account });
    } catch (error) {
      if (!(error instanceof ApiError && error.code === "CONFLICT")) throw error;
      await exchange("/session/refresh");
    }
  });
}

/** Exchanges the tokens for those of another account, in all tabs. */
export async function switchAccount(accountId: string): Promise<void> {
  // A refresh that runs would consume the same cookie.
  while (refreshing) await refreshing.catch(() => undefined);
  await alone(() => exchange("/session/account", { accountId }));
  tabs.postMessage("account");
}

function alone(work: () => Promise<void>): Promise<void> {
  refreshing ??= renew(work).finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

async function renew(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) leave();
    throw error;
  }
}

/** Resumes the session of the cookie; without one, the sign-in is shown. Throws if the outcome is unknown. */
export async function resume(): Promise<void> {
  // The application may ask for a new sign-in.
  if (destination !== undefined) {
    if (!hasArrived || arrival.outcome !== undefined || arrival.error !== undefined) return become("out");
    return location.replace(destination);
  }
  await refresh().catch((error: unknown) => {
    if (state === "unknown") throw error;
  });
}

export async function signOut(): Promise<void> {
  await send("DELETE", "/session");
  tabs.postMessage("out");
  leave();
}
