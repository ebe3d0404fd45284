/** The passkeys of the user, and the form that adds one. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

import { api, read } from "../../api/client";
import { hasPasskeys, isDeclined, makePasskey } from "../../api/passkey";
import { refresh } from "../../api/session";
import { useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import { Time } from "../../ui/format";
import { Card } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Action } from "../kit";
import { RecoveryCodes } from "./enroll";

export function Passkeys() {
  const t = useText();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const passkeys = useQuery({ queryKey: ["passkeys"], queryFn: async ({ signal }) => (await read(api.GET("/api/v1/auth/passkeys", { signal }))).data });
  const changed = () => void client.invalidateQueries();
  const done = () => {
    setOpen(false);
    // The session's next access token says that it has the factor.
    void refresh().then(changed);
  };
  return (
    <Card title={t("Passkeys")}>
      <p>{t("A passkey signs you in with your fingerprint, your face or the PIN of a device, without the password.")}</p>
      <ul className="items">
        {passkeys.data?.map((passkey) => (
          <li key={passkey.id}>
            {passkey.name} {passkey.synced && <small>{t("Synced")}</small>} {t("Added")} <Time value={passkey.createTime} />{" "}
            <Action id="PasskeyService_RenamePasskey" label={t("Rename")} values={{ passkeyId: passkey.id, name: passkey.name }} name={passkey.name} onDone={changed} />{" "}
            <Action id="PasskeyService_RemovePasskey" label={t("Remove")} values={{ passkeyId: passkey.id }} name={passkey.name} onDone={changed} />
          </li>
        ))}
      </ul>
      {passkeys.error !== null && <Problem error={passkeys.error} />}
      {hasPasskeys
        ? <p><button type="button" onClick={() => setOpen(true)}>{t("Add a passkey")}</button></p>
        : <p>{t("A passkey belongs to a domain: open the console by its domain over HTTPS, or at localhost, in a browser with passkeys.")}</p>}
      {open && <Sheet title={t("Add a passkey")} onClose={done}><AddPasskey onDone={done} /></Sheet>}
    </Card>
  );
}

/** The form that adds a passkey and, for the first second factor, the recovery codes. */
export function AddPasskey({ onDone }: { onDone: () => void }) {
  const t = useText();
  const [codes, setCodes] = useState<readonly string[]>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  if (codes) return <RecoveryCodes codes={codes} onDone={onDone} />;
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name"));
    setBusy(true);
    setError(undefined);
    try {
      const { token, options } = (await read(api.POST("/api/v1/auth/passkeys"))).data;
      const credential = await makePasskey(options);
      const { recoveryCodes } = (await read(api.POST("/api/v1/auth/passkeys/confirm", { body: { token, credential, name } }))).data;
      if (recoveryCodes.length === 0) return onDone();
      setCodes(recoveryCodes);
    } catch (failure) {
      if (!isDeclined(failure)) setError(failure);
      setBusy(false);
    }
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <label><span>{t("Name of the passkey")}</span><input name="name" defaultValue={t("My passkey")} maxLength={100} required autoFocus /></label>
      {error !== undefined && <Problem error={error} />}
      <footer><button type="submit" className="primary" disabled={busy}>{t("Add")}</button></footer>
    </form>
  );
}
