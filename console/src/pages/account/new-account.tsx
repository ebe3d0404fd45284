/** The creation of another account, to which the session switches. */

import { useState } from "react";

import { api, read } from "../../api/client";
import { switchAccount } from "../../api/session";
import { useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";

export function NewAccount() {
  const t = useText();
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="primary" onClick={() => setOpen(true)}>{t("New account")}</button>
      {open && <NewAccountSheet onClose={() => setOpen(false)} />}
    </>
  );
}

export default function NewAccountSheet({ onClose }: { onClose: () => void }) {
  const t = useText();
  const [text, setText] = useState("");
  const name = text.trim();
  const send = async (key: string) => {
    const { data } = await read(api.POST("/api/v1/accounts", { params: { header: { "Idempotency-Key": key } }, body: { name } }));
    await switchAccount(data.id);
  };
  return (
    <FormSheet title={t("New account")} action={t("Create")} request={name} valid={name !== ""} onSubmit={send} onClose={onClose}>
      <label><span>{t("Name of the organization")}</span><input required autoFocus maxLength={100} autoComplete="organization" value={text} onChange={(event) => setText(event.target.value)} /></label>
      <p className="help">{t("You become its owner. Your other accounts stay.")}</p>
    </FormSheet>
  );
}
