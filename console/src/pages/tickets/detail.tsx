/** One ticket: its text, its assignee, and its history. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { api, read } from "../../api/client";
import { useIsStaff, useMay, useUser } from "../../shell/user";
import { useName, useText } from "../../text";
import { Attachments, MAX_FILES, UploadButton } from "../../ui/attachments";
import { Confirm } from "../../ui/dialog";
import { Badge, Id, Time } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { toast } from "../../ui/toast";
import { Value } from "../../ui/value";
import { useAccount } from "../account/account";
import { Activities } from "./activities";
import { remove, ticketKey, useChange, type Change, type Ticket } from "./api";
import { Assignee, PriorityChoice } from "./choices";
import { Comments } from "./comments";
import { Conflict } from "./conflict";
import { EditTicket } from "./edit";
import { useChosen, useLastSearch } from "./kept";
import { isForPage, useTicketKeys } from "./keyboard";
import { Links } from "./links";
import { Merge, MergedNotice } from "./merge";
import { useNames } from "./people";
import { useTicketWatch } from "./watch";

export function TicketPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useQuery({
    queryKey: ticketKey(id),
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/tickets/{ticketId}", { params: { path: { ticketId: id } }, signal }))).data,
  });
  const [deleted, setDeleted] = useState("");
  useTicketWatch({ onChanged: (changed) => { if (changed.has(id) && !changed.get(id)) setDeleted(id); } });
  const above = <ToList />;
  if (query.data) return <>{deleted === id && <p className="notice" role="status">{t("This ticket was deleted.")}</p>}<TicketView key={id} ticket={query.data} /></>;
  if (query.error) return <PageFrame title={t("Ticket")} above={above}><Problem error={query.error} onRetry={() => void query.refetch()} /></PageFrame>;
  return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
}

/** A link back to the list in its previous state. */
function ToList() {
  const t = useText();
  const [search] = useLastSearch();
  return <Link to="/tickets" search={search as never}>{t("Tickets")}</Link>;
}

function TicketView({ ticket }: { ticket: Ticket }) {
  const t = useText();
  const user = useUser();
  const may = useMay();
  const mayWrite = may("TicketService_UpdateTicket");
  const { mutate, error, variables, reset, isPending } = useChange();
  const [editing, setEditing] = useState(false);
  const resolved = ticket.status === "TICKET_STATUS_RESOLVED";
  const isStaff = useIsStaff();
  const apply = (change: Change, done?: string, back?: Change) => mutate({ ticket, change }, {
    onSuccess: (changed) => done && toast(done, back && (() => mutate({ ticket: changed, change: back }))),
  });
  const changeByKey = useTicketKeys();
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (isForPage(event) && changeByKey(event.key, ticket)) event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
  const isMerged = Boolean(ticket.mergedIntoId);
  const attached = ticket.attachmentIds;
  const attach = (attachmentIds: string[]) => apply({ kind: "patch", patch: { attachmentIds } }, t("Saved"));
  return (
    <PageFrame
      title={ticket.subject}
      above={<ToList />}
      actions={<>
        {mayWrite && !isMerged && <button type="button" onClick={() => setEditing(true)}>{t("Edit")}</button>}
        {isStaff && mayWrite && !isMerged && <Merge ticket={ticket} onMerge={(targetId) => apply({ kind: "merge", targetId }, t("Merged"))} />}
        {isStaff && mayWrite && !resolved && ticket.assigneeId !== user.id && <button type="button" disabled={isPending} onClick={() => apply({ kind: "assign", assigneeId: user.id })}>{t("Assign to me")}</button>}
        {isMerged || !mayWrite ? null : resolved
          ? <button type="button" disabled={isPending} onClick={() => apply({ kind: "reopen" }, t("Reopened"))}>{t("Reopen")}</button>
          : <button type="button" className="primary" disabled={isPending} onClick={() => apply({ kind: "resolve" }, t("Resolved"), { kind: "reopen" })}>{t("Resolve")}</button>}
        {may("TicketService_DeleteTicket") && <Delete ticket={ticket} />}
      </>}
    >
      {error && variables && <Conflict error={error} change={variables.change} id={ticket.id} onClose={reset} onRetry={() => mutate(variables)} onApply={(latest) => mutate({ ticket: latest, change: variables.change })} />}
      {ticket.mergedIntoId && <MergedNotice targetId={ticket.mergedIntoId} />}
      <div className="columns">
        <div>
          <Card title={t("Request")}>
            <p className="text">{ticket.body}</p>
            <Attachments parentId={ticket.id} version={ticket.version} ids={attached} {...(mayWrite && !isMerged && { onRemove: (id: string) => attach(attached.filter((one) => one !== id)) })} />
            {mayWrite && !isMerged && may("FileService_UploadFile") && <UploadButton accountId={ticket.accountId} disabled={isPending || attached.length >= MAX_FILES} onUploaded={(files) => attach([...attached, ...files.map((file) => file.id)])} />}
          </Card>
          <Comments ticket={ticket} />
        </div>
        <div>
          <Properties ticket={ticket} isStaff={isStaff && mayWrite} mayWrite={mayWrite} onChange={apply} />
          <Links ticket={ticket} />
          <Activities ticketId={ticket.id} accountId={ticket.accountId} />
        </div>
      </div>
      {editing && <EditTicket ticket={ticket} onClose={() => setEditing(false)} />}
    </PageFrame>
  );
}

function Properties({ ticket, isStaff, mayWrite, onChange }: { ticket: Ticket; isStaff: boolean; mayWrite: boolean; onChange: (change: Change) => void }) {
  const t = useText();
  const name = useName();
  const customer = useAccount(ticket.accountId).data?.name;
  const nameOf = useNames(ticket.accountId);
  return (
    <Card title={t("Details")}>
      <dl className="fields narrow">
        <div><dt>{name("status")}</dt><dd><Badge value={ticket.status} /></dd></div>
        <div><dt>{name("priority")}</dt><dd>{ticket.mergedIntoId || !mayWrite ? <Badge value={ticket.priority} /> : <PriorityChoice value={ticket.priority} onChange={(priority) => onChange({ kind: "patch", patch: { priority } })} />}</dd></div>
        <div><dt>{name("assignee")}</dt><dd>{isStaff ? <Assignee value={ticket.assigneeId} disabled={ticket.status === "TICKET_STATUS_RESOLVED"} onChange={(assigneeId) => onChange({ kind: "assign", assigneeId })} /> : <Id value={ticket.assigneeId} name={nameOf(ticket.assigneeId)} />}</dd></div>
        <div><dt>{name("kind")}</dt><dd><Badge value={ticket.kind} /></dd></div>
        <div><dt>{name("queue")}</dt><dd>{ticket.queue}</dd></div>
        <div><dt>{name("tags")}</dt><dd><Value value={ticket.tags} field="tags" /></dd></div>
        <div><dt>{name("language")}</dt><dd>{ticket.language}</dd></div>
        <div><dt>{t("Customer")}</dt><dd><Id value={ticket.accountId} field="accountId" name={customer} /></dd></div>
        <div><dt>{name("requester")}</dt><dd><Id value={ticket.requesterId} field="requesterId" name={nameOf(ticket.requesterId)} /></dd></div>
        <div><dt>{t("Created")}</dt><dd><Time value={ticket.createTime} /></dd></div>
        <div><dt>{t("Updated")}</dt><dd><Time value={ticket.updateTime} /></dd></div>
        {ticket.resolveTime && <div><dt>{t("Resolved")}</dt><dd><Time value={ticket.resolveTime} /></dd></div>}
        <div><dt>Id</dt><dd><code>{ticket.id}</code></dd></div>
      </dl>
    </Card>
  );
}

function Delete({ ticket }: { ticket: Ticket }) {
  const t = useText();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [isConfirming, setIsConfirming] = useState(false);
  const [search] = useLastSearch();
  const [chosen, setChosen] = useChosen();
  const confirm = async () => {
    await remove(ticket);
    toast(t("Deleted: {name}", { name: ticket.subject }));
    setChosen(new Map([...chosen].filter(([id]) => id !== ticket.id)));
    void client.invalidateQueries({ queryKey: ["tickets"] });
    void navigate({ to: "/tickets", search: search as never });
  };
  return (
    <>
      <button type="button" className="danger" onClick={() => setIsConfirming(true)}>{t("Delete")}</button>
      {isConfirming && (
        <Confirm title={t("Delete this ticket?")} action={t("Delete")} name={ticket.subject} onConfirm={confirm} onClose={() => setIsConfirming(false)}>
          <p>{t("Its comments and its history go with it. This can't be undone.")}</p>
        </Confirm>
      )}
    </>
  );
}
