/** The sign-in, the only page without a session. */

import { lazy, Suspense, useEffect, useRef, useState, type FormEvent, type MouseEvent } from "react";

import { api, read, type Schemas } from "../api/client";
import { hasPasskeys, isDeclined, offersPasskeys, proveByPasskey } from "../api/passkey";
import { answerChallenge, arrival, askForMail, beginPasskeySignIn, challengeOptions, type ChallengeOptions, providerUrl, signIn, signInWithMailCode, signInWithPasskey } from "../api/session";
import { asApiError, type ApiError } from "../api/errors";
import { useText } from "../text";
import { AppCode, CodeField } from "../ui/code-field";
import { Appearance } from "./appearance";

const ArrivalProblem = lazy(() => import("./arrival-problem"));

export function SignIn() {
  const t = useText();
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  // The token of the challenge; empty for one that is in a cookie.
  const [challenge, setChallenge] = useState<string | undefined>(arrival.outcome === "second_factor" ? "" : undefined);
  // The address to which a mail was sent.
  const [mailed, setMailed] = useState<string>();
  const address = useRef<HTMLInputElement>(null);
  const ways = useWays();
  const { options, rememberSeconds } = useChallengeOptions(challenge);
  const attempt = async (work: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    try {
      await work();
    } catch (failure) {
      if (isDeclined(failure)) return setBusy(false);
      const error = asApiError(failure);
      setError(error);
      // The challenge or the mail has expired.
      if (error.code === "INVALID_TOKEN") {
        setChallenge(undefined);
        setMailed(undefined);
      }
    }
    setBusy(false);
  };
  const stopOffer = useOffer(challenge === undefined && mailed === undefined, attempt);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void attempt(async () => {
      if (challenge !== undefined) return answerChallenge(challenge || undefined, { code: String(form.get("code")), rememberDevice: form.has(REMEMBER) });
      if (mailed !== undefined) return setChallenge(await signInWithMailCode(String(form.get("code"))));
      setChallenge(await signIn(String(form.get("email")).trim(), String(form.get("password"))));
    });
  };
  const prove = ({ currentTarget: { form } }: MouseEvent<HTMLButtonElement>) => void attempt(async () => {
    if (options !== null) return answerChallenge(challenge || undefined, { passkey: await proveByPasskey(options), rememberDevice: new FormData(form ?? undefined).has(REMEMBER) });
    // A browser asks for one passkey at a time.
    stopOffer();
    await signInWithPasskey(await proveByPasskey(await beginPasskeySignIn()));
  });
  const ask = () => {
    // The password is not needed, so that the form as a whole is not valid.
    if (!address.current?.reportValidity()) return;
    const email = address.current.value.trim();
    void attempt(async () => {
      await askForMail(email);
      setMailed(email);
    });
  };
  const leaveForCompany = () => {
    if (!address.current?.reportValidity()) return;
    const email = address.current.value.trim();
    void attempt(async () => {
      const { name } = (await read(api.POST("/api/v1/auth/providers/find", { body: { email } }))).data;
      location.assign(providerUrl(name));
    });
  };
  return (
    <main className="sign-in">
      <form onSubmit={submit}>
        <img src="/console/mark.svg" alt="" width="40" height="40" />
        <h1>{t("Sign in to Mainstay")}</h1>
        {challenge !== undefined ? <>
          <CodeField key="challenge" autoFocus />
          {rememberSeconds !== null && <label className="check"><input type="checkbox" name={REMEMBER} /><span>{t("Do not ask again on this device for {days} days", { days: Math.ceil(rememberSeconds / 86_400) })}</span></label>}
        </> : mailed !== undefined ? <>
          <p role="status">{t("If a user has the address {email}, a mail with a link and a code is on its way. Open the link in this browser, or enter the code.", { email: mailed })}</p>
          <label><span>{t("Code from the mail")}</span><AppCode autoFocus digits={8} /></label>
          <p><button type="button" className="link" onClick={() => setMailed(undefined)}>{t("Use the password")}</button></p>
        </> : <>
          <label><span>{t("E-mail address")}</span><input ref={address} name="email" type="email" autoComplete="username webauthn" required autoFocus /></label>
          <label><span>{t("Password")}</span><input name="password" type="password" autoComplete="current-password" required /></label>
        </>}
        {error ? <SignInProblem error={error} /> : arrival.error !== undefined && <Suspense><ArrivalProblem reason={arrival.error} /></Suspense>}
        <p className="links"><a href="/reset-password">{t("Forgot the password?")}</a> <a href="/register">{t("Register")}</a></p>
        <button type="submit" className="primary" disabled={busy}>{busy ? t("Signing in …") : t("Sign in")}</button>
        {hasPasskeys && (challenge === undefined || options !== null) && <button type="button" onClick={prove} disabled={busy}>{t("Sign in with a passkey")}</button>}
        {challenge === undefined && mailed === undefined && ways.mail && <button type="button" onClick={ask} disabled={busy}>{t("Sign in by mail")}</button>}
        {challenge === undefined && mailed === undefined && <button type="button" onClick={leaveForCompany} disabled={busy}>{t("Sign in with your company")}</button>}
        {challenge === undefined && ways.data.map(({ name, label }) => <a key={name} className="button" href={providerUrl(name)}>{t("Sign in with {provider}", { provider: label })}</a>)}
      </form>
      <Appearance />
    </main>
  );
}

// The name of the choice to remember the device.
const REMEMBER = "remember";

const NO_OPTIONS: ChallengeOptions = { options: null, rememberSeconds: null };

/** Returns how a challenge may be answered; without the options, by a code. */
function useChallengeOptions(challenge: string | undefined): ChallengeOptions {
  const [options, setOptions] = useState(NO_OPTIONS);
  useEffect(() => {
    setOptions(NO_OPTIONS);
    if (challenge !== undefined) challengeOptions(challenge || undefined).then(setOptions, () => undefined);
  }, [challenge]);
  return options;
}

/** Offers the passkeys of the browser in the field of the address, and returns a function that ends the offer. */
function useOffer(isOffered: boolean, attempt: (work: () => Promise<void>) => Promise<void>): () => void {
  const offer = useRef<AbortController>(undefined);
  const latest = useRef(attempt);
  latest.current = attempt;
  useEffect(() => {
    if (!isOffered) return undefined;
    const current = new AbortController();
    offer.current = current;
    const wait = async () => {
      if (!(await offersPasskeys()) || current.signal.aborted) return;
      const credential = await proveByPasskey(await beginPasskeySignIn(), current.signal);
      await latest.current(() => signInWithPasskey(credential));
    };
    // Without an offer, people choose another way.
    wait().catch(() => undefined);
    return () => current.abort();
  }, [isOffered]);
  return () => offer.current?.abort();
}

/** Returns the ways to sign in. Without the list, people sign in with the password. */
function useWays(): Schemas["ListSignInProvidersResponse"] {
  const [ways, setWays] = useState<Schemas["ListSignInProvidersResponse"]>({ data: [], mail: false });
  useEffect(() => {
    read(api.GET("/api/v1/auth/providers")).then(setWays, () => undefined);
  }, []);
  return ways;
}

function SignInProblem({ error }: { error: ApiError }) {
  const t = useText();
  const text = error.code === "INVALID_CREDENTIALS" ? t("The address or the password is wrong.")
    : error.code === "INVALID_TOKEN" ? t("It took too long. Sign in again.")
    : error.code === "INVALID_PASSKEY" ? t("The passkey is unknown, or was refused.")
    : error.code === "NOT_FOUND" ? t("No company has set up a sign-in for this address.")
    : error.code === "PROVIDER_REQUIRED" ? t("Your company requires its own sign-in, which opens now.")
    : error.code === "WRONG_CODE" ? t("The code is wrong, or was used before.")
    : error.status === 429 ? t("Too many attempts. Try again in {seconds} s, or reset the password.", { seconds: error.retryAfter ?? "?" })
    : error.status === 0 ? t("The server does not answer")
    : error.message;
  return (
    <p className="problem" role="alert">
      {text}{error.requestId && <><br /><small>{t("Request")} <code>{error.requestId}</code></small></>}
    </p>
  );
}
