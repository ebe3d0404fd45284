/** Actions on several tickets. Each ticket is a separate request; tickets whose request failed stay selected. */

import { useState, type ReactNode } from "react";

import { asApiError } from "../../api/errors";
import { useMay, useUser } from "../../shell/user";
import { useName, useText } from "../../text";
import { Confirm } from "../../ui/dialog";
import { Problem } from "../../ui/problem";
import { toast } from "../../ui/toast";
import { PRIORITIES, useChange, type Change, type Ticket } from "./api";

type BulkProps = { tickets: readonly Ticket[]; all: boolean; isStaff: boolean; label: string; onAll: () => void; onNone: () => void; onDone: (failed: string[]) => void; children: ReactNode };

/** The number of concurrent requests. It keeps a large selection from exhausting the user's rate limit. */
const CONCURRENCY = 4;

export function BulkBar({ tickets, all, isStaff, label, onAll, onNone, onDone, children }: BulkProps) {
  const t = useText();
  const name = useName();
  const user = useUser();
  const mayWrite = useMay()("TicketService_UpdateTicket");
  const { mutateAsync } = useChange();
  const [isConfirming, setIsConfirming] = useState(false);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const apply = async (change: Change) => {
    setBusy(true);
    setError(undefined);
    const failed: string[] = [];
    const queue = [...tickets];
    const worker = async () => {
      for (let ticket = queue.shift(); ticket; ticket = queue.shift()) {
        const { id } = ticket;
        await mutateAsync({ ticket, change }).catch((failure: unknown) => {
          failed.push(id);
          setError(asApiError(failure));
        });
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    setBusy(false);
    toast(t("Tickets changed: {count}", { count: tickets.length - failed.length }));
    onDone(failed);
  };
  const isDisabled = tickets.length === 0 || busy;
  return (
    <>
      <div className={tickets.length > 0 ? "bulk active" : "bulk"} role="group" aria-label={t("Selected tickets")}>
        {mayWrite && <label><input type="checkbox" checked={all} onChange={onAll} /> {tickets.length > 0 ? t("{count} selected", { count: tickets.length }) : label}</label>}
        {tickets.length > 0 && <>
          {isStaff && <button type="button" disabled={isDisabled} onClick={() => void apply({ kind: "assign", assigneeId: user.id })}>{t("Assign to me")}</button>}
          <button type="button" disabled={isDisabled} onClick={() => setIsConfirming(true)}>{t("Resolve")}</button>
          <select aria-label={name("priority")} value="" disabled={isDisabled} onChange={(event) => {
            const priority = PRIORITIES.find((one) => one === event.target.value);
            if (priority) void apply({ kind: "patch", patch: { priority } });
          }}>
            <option value="">{t("Set priority …")}</option>
            {PRIORITIES.map((one) => <option key={one} value={one}>{name(one)}</option>)}
          </select>
          <button type="button" className="quiet" disabled={isDisabled} onClick={onNone}>{t("Clear selection")}</button>
        </>}
        {children}
      </div>
      {error !== undefined && <Problem error={error} />}
      {isConfirming && (
        <Confirm title={t("Resolve the selected tickets ({count})?", { count: tickets.length })} action={t("Resolve")} onClose={() => setIsConfirming(false)} onConfirm={() => apply({ kind: "resolve" })}>
          <ul>{tickets.slice(0, 10).map((ticket) => <li key={ticket.id}>{ticket.subject}</li>)}{tickets.length > 10 && <li>…</li>}</ul>
        </Confirm>
      )}
    </>
  );
}
