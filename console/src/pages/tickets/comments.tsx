/** The comments on a ticket, and the form for a new one. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";

import { api, read, readAll } from "../../api/client";
import type { StoredFile } from "../../api/files";
import { IdempotencyKeys } from "../../api/idempotency";
import { useIsStaff, useMay } from "../../shell/user";
import { useText } from "../../text";
import { AttachmentInput, Attachments } from "../../ui/attachments";
import { Age, Badge, Id } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { SentBefore } from "../../ui/sent-before";
import { AnswerPicker } from "./answers";
import type { Ticket } from "./api";
import { useNames } from "./people";

export function Comments({ ticket }: { ticket: Ticket }) {
  const t = useText();
  const nameOf = useNames(ticket.accountId);
  const may = useMay();
  const { data, error, refetch } = useQuery({
    queryKey: ["comments", ticket.id],
    queryFn: ({ signal }) => readAll((pageToken) => {
      const params = { path: { ticketId: ticket.id }, query: { pageSize: 100, pageToken } };
      return read(api.GET("/api/v1/tickets/{ticketId}/comments", { params, signal }));
    }),
  });
  return (
    <Card title={t("Comments")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton lines={3} />}
      <ol className="thread">
        {data?.map((comment) => (
          <li key={comment.id} className={comment.internal ? "note" : comment.authorRole === "ROLE_CUSTOMER" ? "customer" : "staff"}>
            <p className="byline">
              <b><Id value={comment.authorId} field="authorId" name={nameOf(comment.authorId)} /></b>{" "}
              <Badge value={comment.authorRole} /> {comment.internal && <span className="mark">{t("Internal note")}</span>} <Age value={comment.createTime} />
            </p>
            <p className="text">{comment.body}</p>
            <Attachments parentId={comment.id} version={comment.editTime ?? comment.createTime} ids={comment.attachmentIds} />
          </li>
        ))}
      </ol>
      {data?.length === 0 && <p className="empty">{may("CommentService_CreateComment") ? t("No comments yet. Write one below.") : t("No comment yet.")}</p>}
      {!ticket.mergedIntoId && may("CommentService_CreateComment") && <NewComment ticketId={ticket.id} accountId={ticket.accountId} />}
    </Card>
  );
}

type Draft = { body: string; attachmentIds: string[]; internal: boolean };

function NewComment({ ticketId, accountId }: { ticketId: string; accountId: string }) {
  const t = useText();
  const id = useId();
  const client = useQueryClient();
  const [body, setBody] = useState("");
  const [files, setFiles] = useState<StoredFile[]>([]);
  const [internal, setInternal] = useState(false);
  const isStaff = useIsStaff();
  const [keys, setKeys] = useState(() => new IdempotencyKeys());
  const comment: Draft = { body, attachmentIds: files.map((file) => file.id), internal };
  const { mutate, isPending, error } = useMutation({
    mutationFn: (sent: Draft) => keys.send(sent, (key) => {
      const params = { path: { ticketId }, header: { "Idempotency-Key": key } };
      return read(api.POST("/api/v1/tickets/{ticketId}/comments", { params, body: sent }));
    }),
    onSuccess: (_, sent) => {
      // Reading the comments again shows whether an earlier one was saved.
      setKeys(new IdempotencyKeys());
      // Text entered while the request was in flight is the next comment.
      setBody((now) => (now === sent.body ? "" : now));
      setFiles((now) => now.filter((file) => !sent.attachmentIds.includes(file.id)));
      void client.invalidateQueries({ queryKey: ["comments", ticketId] });
      void client.invalidateQueries({ queryKey: ["activities", ticketId] });
    },
  });
  const send = () => {
    if (!isPending) mutate(comment);
  };
  return (
    <form className={internal ? "form note" : "form"} onSubmit={(event) => { event.preventDefault(); send(); }}>
      <label htmlFor={id}>{t("New comment")}</label>
      <textarea id={id} rows={3} required value={body} onChange={(event) => setBody(event.target.value)}
        onKeyDown={(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && body.trim()) send(); }} />
      {isStaff && <AnswerPicker ticketId={ticketId} onText={(text) => setBody((now) => (now.trim() ? `${now.trimEnd()}\n\n${text}` : text))} />}
      {/* The files of a note are in the account of its author, because a customer sees all files of its account. */}
      <AttachmentInput accountId={internal ? undefined : accountId} files={files} onChange={setFiles} />
      {isStaff && (
        <label className="check">
          <input type="checkbox" checked={internal} disabled={files.length > 0} onChange={(event) => setInternal(event.target.checked)} />
          {t("Internal: the customer never sees this")}
        </label>
      )}
      {error && <Problem error={error} />}
      <SentBefore keys={keys} request={comment} />
      <footer><small>Ctrl Enter</small><button type="submit" className="primary" disabled={isPending}>{internal ? t("Add note") : t("Comment")}</button></footer>
    </form>
  );
}
