/** Actions on several tickets: an operation of the server changes the selected ones, or all that match the filters. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState, type ReactNode } from "react";

import { api, read, type Schemas } from "../../api/client";
import { IdempotencyKeys } from "../../api/idempotency";
import { useMay, useUser } from "../../shell/user";
import { useName, useText } from "../../text";
import { useKept } from "../../ui/kept";
import { Confirm } from "../../ui/dialog";
import { Problem } from "../../ui/problem";
import { toast } from "../../ui/toast";
import { isOver, Progress } from "../operations";
import { PRIORITIES } from "./api";
import type { TicketFilter } from "./filters";

type Operation = Schemas["Operation"];
type Preview = Schemas["BulkChangePreview"];
type BulkChange = Pick<Schemas["BulkChangeTicketsRequest"], "action" | "patch" | "assigneeId">;
type Selection = Pick<Schemas["BulkChangeTicketsRequest"], "ids" | "filter">;
/** A change that waits for the user's consent, with what it would do. */
type Proposal = { change: BulkChange; preview: Preview; label: string };
/** A running operation, and whether an undo can revert it. */
type Followed = { id: string; isUndoable: boolean };

type BulkProps = {
  ids: readonly string[];
  all: boolean;
  /** Whether all tickets that match the filters are selected, not only the loaded ones. */
  everything: boolean;
  filter: TicketFilter;
  /** The number of tickets that match the filters, if it is exact. */
  total: string | undefined;
  label: string;
  onAll: () => void;
  onEverything: () => void;
  onNone: () => void;
  children: ReactNode;
};

const keys = new IdempotencyKeys();
const POLL_MS = 500;

async function begin(body: Selection & BulkChange): Promise<Operation> {
  const { data } = await keys.send(body, (key) => read(api.POST("/api/v1/tickets/bulk", { params: { header: { "Idempotency-Key": key } }, body })));
  if (!data) throw new Error("no operation");
  return data;
}

async function revert(operationId: string): Promise<Operation> {
  const params = (key: string) => ({ path: { operationId }, header: { "Idempotency-Key": key } });
  return (await keys.send({ undo: operationId }, (key) => read(api.POST("/api/v1/tickets/bulk/{operationId}/undo", { params: params(key) })))).data;
}

/** Follows an operation to its end, and then tells what it did. */
function useOperation() {
  const t = useText();
  const client = useQueryClient();
  const [followed, setFollowed] = useKept<Followed | undefined>("tickets.operation", undefined);
  const id = followed?.id;
  const { data } = useQuery({
    enabled: id !== undefined,
    queryKey: ["operation", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/operations/{operationId}", { params: { path: { operationId: id ?? "" } }, signal }))).data,
    refetchInterval: ({ state }) => (isOver(state.data) ? false : POLL_MS),
  });
  const undo = useMutation({ mutationFn: revert, onSuccess: (operation) => setFollowed({ id: operation.id, isUndoable: false }) });
  useEffect(() => {
    if (!data || data.id !== id || !isOver(data)) return;
    const { rowsCreated, rowsFailed } = data.progress;
    const text = rowsFailed === "0" ? t("Tickets changed: {count}", { count: rowsCreated }) : t("Tickets changed: {count}, skipped: {skipped}", { count: rowsCreated, skipped: rowsFailed });
    toast(text, followed?.isUndoable && rowsCreated !== "0" ? () => undo.mutate(data.id) : undefined);
    setFollowed(undefined);
    void client.invalidateQueries({ queryKey: ["tickets"] });
    void client.invalidateQueries({ queryKey: ["ticket"] });
  }, [data, id]);
  return { running: id !== undefined && data?.id === id && !isOver(data) ? data : undefined, follow: (operation: Operation, isUndoable: boolean) => setFollowed({ id: operation.id, isUndoable }), error: undo.error };
}

export function BulkBar({ ids, all, everything, filter, total, label, onAll, onEverything, onNone, children }: BulkProps) {
  const t = useText();
  const name = useName();
  const user = useUser();
  const may = useMay();
  const { running, follow, error: undoError } = useOperation();
  const [proposal, setProposal] = useState<Proposal>();
  const { order: _, ...matching } = filter;
  const selection: Selection = everything ? { filter: matching } : { ids: [...ids] };
  const start = async (change: BulkChange) => {
    follow(await begin({ ...selection, ...change }), change.action !== "TICKET_BULK_ACTION_DELETE");
    onNone();
  };
  const propose = useMutation({
    mutationFn: async ({ change, label }: { change: BulkChange; label: string }) => {
      // What an undo reverts needs no consent, unless it changes tickets that are not in sight.
      if (!everything && change.action === "TICKET_BULK_ACTION_UPDATE") return await start(change);
      const { preview } = await read(api.POST("/api/v1/tickets/bulk", { body: { ...selection, ...change, validateOnly: true } }));
      if (preview) setProposal({ change, preview, label });
    },
  });
  const cancel = useMutation({
    mutationFn: (operationId: string) => read(api.POST("/api/v1/operations/{operationId}/cancel", { params: { path: { operationId } } })),
  });
  const act = (label: string, change: BulkChange) => propose.mutate({ change, label });
  const isActive = ids.length > 0 || running !== undefined;
  const isDisabled = propose.isPending || running !== undefined;
  const failure = propose.error ?? cancel.error ?? undoError;
  return (
    <>
      <div className={isActive ? "bulk active" : "bulk"} role="group" aria-label={t("Selected tickets")}>
        {may("TicketService_BulkChangeTickets") && <label><input type="checkbox" checked={all} onChange={onAll} /> {ids.length > 0 ? t("{count} selected", { count: everything && total !== undefined ? total : ids.length }) : label}</label>}
        {running && <><Progress operation={running} /><Link to="/operations/$id" params={{ id: running.id }}>{t("Details")}</Link><button type="button" className="quiet" disabled={cancel.isPending} onClick={() => cancel.mutate(running.id)}>{t("Cancel")}</button></>}
        {ids.length > 0 && <>
          {all && !everything && total !== undefined && total !== String(ids.length) && <button type="button" className="link" onClick={onEverything}>{t("Select all {total} that match", { total })}</button>}
          <button type="button" disabled={isDisabled} onClick={() => act(t("Assign to me"), { action: "TICKET_BULK_ACTION_ASSIGN", assigneeId: user.id })}>{t("Assign to me")}</button>
          <button type="button" disabled={isDisabled} onClick={() => act(t("Resolve"), { action: "TICKET_BULK_ACTION_RESOLVE" })}>{t("Resolve")}</button>
          <select aria-label={name("priority")} value="" disabled={isDisabled} onChange={(event) => {
            const priority = PRIORITIES.find((one) => one === event.target.value);
            if (priority) act(t("Set priority …"), { action: "TICKET_BULK_ACTION_UPDATE", patch: { priority } });
          }}>
            <option value="">{t("Set priority …")}</option>
            {PRIORITIES.map((one) => <option key={one} value={one}>{name(one)}</option>)}
          </select>
          {may("TicketService_DeleteTicket") && <button type="button" className="danger" disabled={isDisabled} onClick={() => act(t("Delete"), { action: "TICKET_BULK_ACTION_DELETE" })}>{t("Delete")}</button>}
          <button type="button" className="quiet" disabled={isDisabled} onClick={onNone}>{t("Clear selection")}</button>
        </>}
        {children}
      </div>
      {failure !== null && <Problem error={failure} />}
      {proposal && (
        <Confirm title={t("Tickets that will change: {count}", { count: proposal.preview.ticketsChanged })} action={proposal.label} onClose={() => setProposal(undefined)} onConfirm={() => start(proposal.change)}>
          {proposal.preview.skipped.length > 0 && <><p>{t("Skipped tickets:")}</p><ul>{proposal.preview.skipped.map(({ code, tickets }) => <li key={code}>{tickets} <code>{code}</code></li>)}</ul></>}
          <p className={proposal.preview.undoable ? "help" : "warning"}>{proposal.preview.undoable ? t("The change can be undone for 24 hours.") : t("The tickets are deleted for good.")}</p>
        </Confirm>
      )}
    </>
  );
}
