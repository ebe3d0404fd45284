/** The export of all data of a person or an account, and its deletion with a period of grace. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, read, type Schemas } from "../../api/client";
import { refresh } from "../../api/session";
import { useMe } from "../../shell/user";
import { useName, useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { Badge, Time } from "../../ui/format";
import { Card } from "../../ui/page";
import { Problem } from "../../ui/problem";

/** The person or the account, and when its data is erased, if that is scheduled. */
type Subject = { userId: string; accountId?: never } | { accountId: string; userId?: never };

/** The notice that a deletion is scheduled, with its end. */
export function ScheduledDeletion({ subject, time }: { subject: Subject; time: string | undefined }) {
  const t = useText();
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  if (time === undefined) return null;
  if (Date.parse(time) < Date.now()) return <p className="notice">{t("Deleted.")}</p>;
  const cancel = async () => {
    try {
      const query = { ...subject, state: "DELETION_STATE_SCHEDULED" as const };
      const { data } = await read(api.GET("/api/v1/deletions", { params: { query } }));
      for (const { id } of data) await read(api.POST("/api/v1/deletions/{deletionId}/cancel", { params: { path: { deletionId: id } } }));
      await client.invalidateQueries();
    } catch (failure) {
      setError(failure);
    }
  };
  return (
    <div className="notice" role="status">
      <p>{t("All data will be deleted:")} <Time value={time} /></p>
      <button type="button" onClick={() => void cancel()}>{t("Cancel the deletion")}</button>
      {error !== undefined && <Problem error={error} />}
    </div>
  );
}

/** The button that schedules a deletion, after the caller's password. */
export function Delete({ subject, label, isSelf = false }: { subject: Subject; label: string; isSelf?: boolean }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  const [currentPassword, setCurrentPassword] = useState("");
  const send = async () => {
    await read(api.POST("/api/v1/deletions", { body: { ...subject, currentPassword } }));
    // All sessions have ended.
    if (isSelf) await refresh().catch(() => undefined);
  };
  return (
    <>
      <button type="button" className="danger" onClick={() => setOpen(true)}>{label}</button>
      {open && (
        <FormSheet title={label} action={t("Delete")} danger request={currentPassword} valid={currentPassword !== ""} onSubmit={send} onClose={() => setOpen(false)}>
          <p className="warning">{t("All data is deleted after a period of grace, which the mail names. Until then, you can cancel the deletion. What the law requires, such as orders and payments, stays without names.")}</p>
          <label>
            <span>{t("Your password")}</span>
            <input type="password" required autoFocus autoComplete="current-password" value={currentPassword} onChange={(event) => setCurrentPassword(event.target.value)} />
          </label>
        </FormSheet>
      )}
    </>
  );
}

const PENDING = new Set<Schemas["DataExport"]["state"]>(["DATA_EXPORT_STATE_PENDING", "DATA_EXPORT_STATE_RUNNING"]);

/** The exports of the user or of an account, the last one first. */
export function DataExports({ accountId }: { accountId?: string }) {
  const t = useText();
  const name = useName();
  const client = useQueryClient();
  const { user } = useMe();
  const [error, setError] = useState<unknown>();
  const { data: exports = [] } = useQuery({
    queryKey: ["data-exports", user.id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/data-exports", { params: { query: { pageSize: 20 } }, signal }))).data,
    refetchInterval: (query) => (query.state.data?.some((one) => PENDING.has(one.state)) ? 2000 : false),
  });
  const attempt = async (work: () => Promise<unknown>) => {
    setError(undefined);
    await work().catch(setError);
    await client.invalidateQueries({ queryKey: ["data-exports"] });
  };
  const begin = () => attempt(() => read(api.POST("/api/v1/data-exports", { body: accountId === undefined ? {} : { accountId } })));
  const download = (id: string) => attempt(async () => {
    const { data } = await read(api.GET("/api/v1/data-exports/{dataExportId}", { params: { path: { dataExportId: id } } }));
    if (data.downloadUrl) window.location.assign(data.downloadUrl);
  });
  const shown = exports.filter((one) => one.accountId === accountId);
  return (
    <Card title={t("Export of data")} actions={<button type="button" disabled={exports.some((one) => PENDING.has(one.state))} onClick={() => void begin()}>{accountId === undefined ? t("Download my data") : t("Download the data of the account")}</button>}>
      {shown.length === 0 && <p className="help">{t("An archive of everything that is stored, one file per kind of data. Up to three per day.")}</p>}
      <ul className="items">
        {shown.map((one) => (
          <li key={one.id}>
            <Time value={one.createTime} /> <Badge value={one.state} />{" "}
            {PENDING.has(one.state) && <small>{name("itemsDone")}: {one.itemsDone} / {one.itemsTotal}</small>}
            {one.expireTime !== undefined && Date.parse(one.expireTime) > Date.now() && <button type="button" onClick={() => void download(one.id)}>{t("Download")}</button>}
          </li>
        ))}
      </ul>
      {error !== undefined && <Problem error={error} />}
    </Card>
  );
}
