/** The sign-in, the only page without a session. */

import { useState, type FormEvent } from "react";

import { answerChallenge, signIn } from "../api/session";
import { asApiError, type ApiError } from "../api/errors";
import { useText } from "../text";
import { CodeField } from "../ui/code-field";
import { Appearance } from "./appearance";

export function SignIn() {
  const t = useText();
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const [challenge, setChallenge] = useState<string>();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(undefined);
    try {
      if (challenge !== undefined) return await answerChallenge(challenge, String(form.get("code")));
      setChallenge(await signIn(String(form.get("email")).trim(), String(form.get("password"))));
    } catch (failure) {
      const error = asApiError(failure);
      setError(error);
      // The challenge has expired.
      if (error.code === "INVALID_TOKEN") setChallenge(undefined);
    }
    setBusy(false);
  };
  return (
    <main className="sign-in">
      <form onSubmit={(event) => void submit(event)}>
        <img src="/console/mark.svg" alt="" width="40" height="40" />
        <h1>{t("Sign in to Mainstay")}</h1>
        {challenge === undefined ? <>
          <label><span>{t("E-mail address")}</span><input name="email" type="email" autoComplete="username" required autoFocus /></label>
          <label><span>{t("Password")}</span><input name="password" type="password" autoComplete="current-password" required /></label>
        </> : <CodeField autoFocus />}
        {error && <SignInProblem error={error} />}
        <p className="links"><a href="/reset-password">{t("Forgot the password?")}</a> <a href="/register">{t("Register")}</a></p>
        <button type="submit" className="primary" disabled={busy}>{busy ? t("Signing in …") : t("Sign in")}</button>
      </form>
      <Appearance />
    </main>
  );
}

function SignInProblem({ error }: { error: ApiError }) {
  const t = useText();
  const text = error.code === "INVALID_CREDENTIALS" ? t("The address or the password is wrong.")
    : error.code === "INVALID_TOKEN" ? t("It took too long. Sign in again.")
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
