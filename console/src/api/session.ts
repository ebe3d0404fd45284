/**
 * The session: an access token in memory, and a refresh token in a cookie that no script can read.
 *
 * Tabs share the cookie, and each tab refreshes separately; a sign-out and a switch of the account are broadcast to all
 * of them.
 */

import { ApiError, errorOf, unreachable } from "./errors";
import { impersonation, setImpersonation } from "./impersonation";
import { stepUp } from "./step-up";

/** A limited session is only good for a second factor. */
export type SessionState = "unknown" | "out" | "limited" | "in";
type Tokens = { accessToken: string; expiresIn: number; sessionId: string; accountId?: string | null; secondFactorRequired: boolean };

/** How long before its expiry a token is replaced, in seconds. */
const MARGIN_S = 30;

let state: SessionState = "unknown";
let token: string | undefined;
let account: string | undefined;
/** The accounts to which the session can switch. */
let accounts: readonly string[] = [];
let generation = 0;
let hasEntered = false;
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

/** Tells in which accounts the session can continue when a limit ends it in its account. */
export function setAccounts(ids: readonly string[]): void {
  accounts = ids;
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
  token = accessToken;
  hasEntered = true;
  // An application waits for the second factor.
  if (arrival.next !== undefined && !secondFactorRequired) return location.replace(arrival.next);
  clearTimeout(timer);
  // The last token of a session expires with it, which may be at once.
  const wait = Math.max(expiresIn - MARGIN_S, expiresIn / 2, 1);
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

async function send(method: string, path: string, body?: unknown, leadsAway = true): Promise<Response> {
  const init: RequestInit = { method, credentials: "same-origin" };
  if (body !== undefined) Object.assign(init, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  const response = await fetch(path, init).catch(() => {
    throw unreachable();
  });
  if (!response.ok) {
    const error = await errorOf(response);
    // The account requires its own provider. One that has just refused the person would do so again and again.
    const isRefused = path === "/session/refresh" && failureOfArrival() !== undefined;
    const provider = error.code === "PROVIDER_REQUIRED" && leadsAway && !isRefused ? error.metadata["provider"] : undefined;
    if (provider !== undefined) location.assign(providerUrl(provider));
    throw error;
  }
  return response;
}

async function exchange(path: string, body?: unknown, leadsAway = true): Promise<void> {
  const response = await send("POST", path, body, leadsAway);
  enter(((await response.json()) as { data: Tokens }).data);
}

/** How a sign-in with a provider ended that led to this page, or the page of the server to which a second factor leads. */
export type Arrival = { outcome?: string; error?: string; next?: string };

/** Reads the arrival off the URL, which a reload or a bookmark must not repeat. */
function readArrival(): Arrival {
  const url = new URL(location.href);
  const [outcome, error] = ["sign_in", "sign_in_error"].map((name) => url.searchParams.get(name) ?? undefined);
  const next = url.searchParams.get("return") ?? undefined;
  if (outcome === undefined && error === undefined && next === undefined) return {};
  for (const name of ["sign_in", "sign_in_error", "return"]) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
  const isAdmitted = next !== undefined && /^\/session\/(authorize|device)\?/.test(next);
  return { ...(outcome !== undefined && { outcome }), ...(error !== undefined && { error }), ...(isAdmitted && { next }) };
}

export const arrival = readArrival();

/** Returns the failure of the arrival, until a session has begun. */
function failureOfArrival(): string | undefined {
  return hasEntered ? undefined : arrival.error;
}

/** Returns the URL at which a browser begins a sign-in with a provider that ends at this page. */
function providerUrl(name: string): string {
  return `/auth/oidc/${name}?return=${encodeURIComponent(location.pathname + location.search)}`;
}

/** Returns the page of the server that signs in and leads back to this page. */
export function signInPage(): string {
  const query = new URLSearchParams({ return: arrival.next ?? location.pathname + location.search });
  const failure = failureOfArrival();
  if (failure !== undefined) query.set("sign_in_error", failure);
  return `/session/sign-in${arrival.outcome === "second_factor" ? "/second-factor" : ""}?${query}`;
}

/** Leaves for a provider, to link an identity to the signed-in user. */
export async function linkIdentity(name: string): Promise<void> {
  const response = await send("POST", `/session/oidc/${name}`, { returnPath: location.pathname });
  location.assign(((await response.json()) as { data: { url: string } }).data.url);
}

/**
 * Gets a new access token; concurrent callers share one request. A rejected refresh signs the user out. A session whose account
 * another page has switched leads to the home page of that account. So does one that a limit of its account ends: it continues
 * in another account.
 */
export function refresh(): Promise<void> {
  return alone(async () => {
    try {
      await exchange("/session/refresh", account === undefined ? undefined : { accountId: account });
    } catch (error) {
      if (isLate(error)) return await continueElsewhere(error);
      if (!(error instanceof ApiError && error.code === "CONFLICT")) throw error;
      await exchange("/session/refresh");
    }
  });
}

/** Continues in the first account that admits the session. One may have an earlier limit, or require its own provider. */
async function continueElsewhere(end: ApiError): Promise<void> {
  for (const accountId of accounts.filter((id) => id !== account)) {
    try {
      return await exchange("/session/account", { accountId }, false);
    } catch (error) {
      if (!(error instanceof ApiError && [401, 403, 404, 422].includes(error.status))) throw error;
    }
  }
  throw end;
}

/** Exchanges the tokens for those of another account, in all tabs. For some accounts, the user authenticates again first. */
export async function switchAccount(accountId: string): Promise<void> {
  const change = async () => {
    // A refresh that runs would consume the same cookie.
    while (refreshing) await refreshing.catch(() => undefined);
    await alone(() => exchange("/session/account", { accountId }), isLate);
  };
  await change().catch(async (error: unknown) => {
    if (!isLate(error)) throw error;
    await stepUp(error);
    await change();
  });
  tabs.postMessage("account");
}

/** Returns whether the session is too old for the account. */
function isLate(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === "REAUTHENTICATION_REQUIRED";
}

function alone(work: () => Promise<void>, goesOn: (error: unknown) => boolean = () => false): Promise<void> {
  refreshing ??= renew(work, goesOn).finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

async function renew(work: () => Promise<void>, goesOn: (error: unknown) => boolean): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401 && !goesOn(error)) leave();
    throw error;
  }
}

/** Resumes the session of the cookie; without one, the page of the sign-in follows. Throws if the outcome is unknown. */
export async function resume(): Promise<void> {
  // A sign-in with a provider is not complete.
  if (arrival.outcome === "second_factor") return become("out");
  await refresh().catch((error: unknown) => {
    if (state === "unknown") throw error;
  });
}

export async function signOut(): Promise<void> {
  await send("DELETE", "/session");
  tabs.postMessage("out");
  leave();
}
