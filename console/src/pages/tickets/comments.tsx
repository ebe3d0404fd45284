/** The comments on a ticket, and the next one. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";

import { api, newKey, read, readAll } from "../../api/client";
import type { StoredFile } from "../../api/files";
import { useText } from "../../text";
import { AttachmentInput, Attachments } from "../../ui/attachments";
import { Age, Badge, Id } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import type { Ticket } from "./api";
import { useNames } from "./people";

export function Comments({ ticket }: { ticket: Ticket }) {
  const t = useText();
  const nameOf = useNames(ticket.accountId);
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
          <li key={comment.id} className={comment.authorRole === "ROLE_CUSTOMER" ? "customer" : "staff"}>
            <p className="byline">
              <b><Id value={comment.authorId} field="authorId" name={nameOf(comment.authorId)} /></b>{" "}
              <Badge value={comment.authorRole} /> <Age value={comment.createTime} />
            </p>
            <p className="text">{comment.body}</p>
            <Attachments parentId={comment.id} version={comment.editTime ?? comment.createTime} ids={comment.attachmentIds} />
          </li>
        ))}
      </ol>
      {data?.length === 0 && <p className="empty">{t("No comment yet.")}</p>}
      <NewComment ticketId={ticket.id} accountId={ticket.accountId} />
    </Card>
  );
}

function NewComment({ ticketId, accountId }: { ticketId: string; accountId: string }) {
  const t = useText();
  const id = useId();
  const client = useQueryClient();
  const [body, setBody] = useState("");
  const [files, setFiles] = useState<StoredFile[]>([]);
  const key = useRef(newKey());
  const { mutate, isPending, error } = useMutation({
    mutationFn: async () => {
      const params = { path: { ticketId }, header: { "Idempotency-Key": key.current } };
      return await read(api.POST("/api/v1/tickets/{ticketId}/comments", { params, body: { body, attachmentIds: files.map((file) => file.id) } }));
    },
    onSuccess: () => {
      setBody("");
      setFiles([]);
      key.current = newKey();
      void client.invalidateQueries({ queryKey: ["comments", ticketId] });
      void client.invalidateQueries({ queryKey: ["activities", ticketId] });
    },
  });
  // Another text is another comment; the same one may be sent again after a lost answer.
  const change = () => {
    if (error) key.current = newKey();
  };
  return (
    <form className="form" onSubmit={(event) => { event.preventDefault(); mutate(); }}>
      <label htmlFor={id}>{t("New comment")}</label>
      <textarea id={id} rows={3} required value={body} onChange={(event) => { setBody(event.target.value); change(); }}
        onKeyDown={(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && body.trim()) mutate(); }} />
      <AttachmentInput accountId={accountId} files={files} onChange={(chosen) => { setFiles(chosen); change(); }} />
      {error && <Problem error={error} />}
      <footer><small>Ctrl Enter</small><button type="submit" className="primary" disabled={isPending}>{t("Comment")}</button></footer>
    </form>
  );
}
