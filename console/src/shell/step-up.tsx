/** The dialog in which the user authenticates again, for a call that requires it. */

import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

import { api, read } from "../api/client";
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

/** The form with the password and, with a second factor, a code. */
export function Authenticate({ onDone, onCancel }: { onDone: () => void; onCancel?: () => void }) {
  const t = useText();
  const { data: factor } = useSecondFactor();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(undefined);
    try {
      const code = form.get("code");
      const body = { currentPassword: String(form.get("password")), ...(code !== null && { code: String(code) }) };
      await read(api.POST("/api/v1/auth/reauthenticate", { body }));
      // The session's next access token says so.
      await refresh();
      onDone();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <p>{t("This needs a recent sign-in.")}</p>
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
