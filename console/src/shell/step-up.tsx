/** The dialog in which the user authenticates again, for a call that requires it. */

import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

import { api, read, type Schemas } from "../api/client";
import { hasPasskeys, isDeclined, proveByPasskey } from "../api/passkey";
import { refresh } from "../api/session";
import type { StepUp } from "../api/step-up";
import { useText } from "../text";
import { CodeField } from "../ui/code-field";
import { Sheet } from "../ui/dialog";
import { Problem } from "../ui/problem";

export function useSecondFactor() {
  return useQuery({
    queryKey: ["second-factor"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/auth/second-factor", { signal }))).data,
    // Only this page changes it; a refresh in between would take the recovery codes off the screen.
    staleTime: Infinity,
  });
}

export default function StepUpDialog({ pending }: { pending: StepUp }) {
  const t = useText();
  return <Sheet title={t("Confirm that it is you")} onClose={pending.cancel}><Authenticate onDone={pending.done} onCancel={pending.cancel} /></Sheet>;
}

/** The form with the password and, with a second factor, a code; a passkey takes the place of both. */
export function Authenticate({ onDone, onCancel }: { onDone: () => void; onCancel?: () => void }) {
  const t = useText();
  const { data: factor } = useSecondFactor();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const attempt = async (body: () => Promise<Schemas["ReauthenticateRequest"]>) => {
    setBusy(true);
    setError(undefined);
    try {
      await read(api.POST("/api/v1/auth/reauthenticate", { body: await body() }));
      // The session's next access token says so.
      await refresh();
      onDone();
    } catch (failure) {
      if (!isDeclined(failure)) setError(failure);
      setBusy(false);
    }
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const code = form.get("code");
    const proof = { currentPassword: String(form.get("password")), ...(code !== null && { code: String(code) }) };
    void attempt(() => Promise.resolve(proof));
  };
  const prove = () => void attempt(async () => {
    const { token, options } = (await read(api.POST("/api/v1/auth/reauthenticate/passkey"))).data;
    return { passkey: { token, credential: await proveByPasskey(options) } };
  });
  return (
    <form className="form" onSubmit={submit}>
      <p>{t("This needs a recent sign-in.")}</p>
      {hasPasskeys && (factor?.passkeys ?? 0) > 0 && <p><button type="button" onClick={prove} disabled={busy}>{t("Use a passkey")}</button></p>}
      <label><span>{t("Password")}</span><input name="password" type="password" autoComplete="current-password" required autoFocus /></label>
      {factor?.createTime !== undefined && <CodeField />}
      {error !== undefined && <Problem error={error} />}
      <footer>
        {onCancel && <button type="button" onClick={onCancel}>{t("Cancel")}</button>}
        <button type="submit" className="primary" disabled={busy || !factor}>{t("Confirm")}</button>
      </footer>
    </form>
  );
}
