/** The form with which staff begins to act in the name of a user. */

import { useState } from "react";

import { api, read } from "../api/client";
import { impersonate } from "../api/session";
import { useText } from "../text";
import { FormSheet } from "../ui/form-sheet";

export function Impersonate({ userId, accountId, userName }: { userId: string; accountId: string; userName: string }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>{t("Act as this person")}</button>
      {open && <Sheet {...{ userId, accountId, userName }} onClose={() => setOpen(false)} />}
    </>
  );
}

function Sheet({ userId, accountId, userName, onClose }: { userId: string; accountId: string; userName: string; onClose: () => void }) {
  const t = useText();
  const [reason, setReason] = useState("");
  const [allowWrites, setAllowWrites] = useState(false);
  const text = reason.trim();
  const send = async () => {
    const body = { userId, accountId, reason: text, allowWrites };
    const { data, accessToken } = await read(api.POST("/api/v1/impersonations", { body }));
    impersonate(data.id, accessToken, userName);
  };
  return (
    <FormSheet title={t("Act as this person")} action={t("Start")} request={`${text} ${allowWrites}`} valid={text.length >= 10} onSubmit={send} onClose={onClose}>
      <label><span>{t("Reason")}</span><input required autoFocus minLength={10} maxLength={500} value={reason} onChange={(event) => setReason(event.target.value)} /></label>
      <label className="check"><input type="checkbox" checked={allowWrites} onChange={(event) => setAllowWrites(event.target.checked)} /><span>{t("Allow changes")}</span></label>
      <p className="help">{t("For 15 minutes, without access to passwords, sessions, secrets of keys and data exports. The audit log has each change with both names.")}</p>
    </FormSheet>
  );
}
