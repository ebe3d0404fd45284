/** One post: the editor and the preview. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useId, useRef, useState } from "react";

import { api, ifMatch, read, type Schemas } from "../../api/client";
import { asApiError, mayHaveTakenEffect } from "../../api/errors";
import type { StoredFile } from "../../api/files";
import { IdempotencyKeys } from "../../api/idempotency";
import { useName, useText } from "../../text";
import { Badge } from "../../ui/format";
import { UploadButton } from "../../ui/attachments";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem, ProblemPage } from "../../ui/problem";
import { toast } from "../../ui/toast";
import { Fields } from "../../ui/value";
import { Action } from "../kit";
import { Preview } from "./preview";

type Post = Schemas["Post"];

export function PostPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const { data, error, refetch } = useQuery({
    queryKey: ["post", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/posts/{postId}", { params: { path: { postId: id } }, signal }))).data,
    // A refetch would replace the text that is being edited.
    refetchOnWindowFocus: false,
  });
  const above = <Link to="/posts">{t("Posts")}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  return <PostView post={data} />;
}

function PostView({ post }: { post: Post }) {
  const t = useText();
  const navigate = useNavigate();
  const shared = { values: { postId: post.id }, version: post.version, name: post.title };
  const draft = post.status === "POST_STATUS_DRAFT";
  return (
    <PageFrame title={post.title} above={<Link to="/posts">{t("Posts")}</Link>} actions={<>
      {post.status !== "POST_STATUS_PUBLISHED" && <Action {...shared} id="PostService_PublishPost" label={t("Publish")} primary />}
      {draft && <Action {...shared} id="PostService_SchedulePost" label={t("Schedule")} />}
      {!draft && <Action {...shared} id="PostService_UnpublishPost" label={t("Unpublish")} />}
      <Action {...shared} id="PostService_DeletePost" label={t("Delete")} onDone={() => void navigate({ to: "/posts" })} />
    </>}>
      <Editor key={post.id} post={post} />
      <Card title={t("Details")} actions={<Badge value={post.status} />}><Fields value={post} without={["body", "html", "title", "summary"]} /></Card>
    </PageFrame>
  );
}

const IMAGES = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/** The first text alternative of an image, which the author may replace. */
function altText(name: string): string {
  return name.replace(/\.\w+$/, "").replace(/[[\]\\_-]+/g, " ").trim();
}

/** The text, and beside it the saved version as the server renders it. */
function Editor({ post }: { post: Post }) {
  const t = useText();
  const name = useName();
  const id = useId();
  const client = useQueryClient();
  const [texts, setTexts] = useState({ title: post.title, summary: post.summary, body: post.body ?? "" });
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [keys] = useState(() => new IdempotencyKeys());
  const text = useRef<HTMLTextAreaElement>(null);
  const fields = ["title", "summary", "body"] as const;
  const changed = fields.filter((field) => texts[field] !== (post[field] ?? ""));
  /** If the texts were saved although the answer was lost, what is written next is based on them, and is no conflict. */
  const takeOver = async (sent: typeof texts) => {
    const latest = (await read(api.GET("/api/v1/posts/{postId}", { params: { path: { postId: post.id } } }))).data;
    if (fields.every((field) => (latest[field] ?? "") === sent[field])) client.setQueryData(["post", post.id], latest);
  };
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const body = Object.fromEntries(changed.map((field) => [field, texts[field]]));
      const saved = (await keys.send({ version: post.version, body }, (key) => {
        const header = { ...ifMatch(post.version), "Idempotency-Key": key };
        const params = { path: { postId: post.id }, query: { updateMask: changed.join(",") }, header };
        return read(api.PATCH("/api/v1/posts/{postId}", { params, body }));
      })).data;
      client.setQueryData(["post", post.id], saved);
      void client.invalidateQueries({ queryKey: ["posts"] });
      toast(t("Saved"));
    } catch (failure) {
      setError(failure);
      if (mayHaveTakenEffect(asApiError(failure))) void takeOver(texts).catch(() => undefined);
    }
    setBusy(false);
  };
  /** Puts an image where the cursor is. */
  const insert = ([file]: StoredFile[]) => {
    const { selectionStart: at = texts.body.length, selectionEnd: end = at } = text.current ?? {};
    if (file) setTexts({ ...texts, body: `${texts.body.slice(0, at)}![${altText(file.name)}](/images/${file.id})${texts.body.slice(end)}` });
  };
  return (
    <form className="editor" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <Card title={t("Text")} actions={<button type="submit" className="primary" disabled={busy || changed.length === 0}>{t("Save")}</button>}>
        {error !== undefined && changed.length > 0 && <Problem error={error} />}
        <div className="form">
          <label htmlFor={`${id}-title`}>{name("title")}</label>
          <input id={`${id}-title`} required value={texts.title} onChange={(event) => setTexts({ ...texts, title: event.target.value })} />
          <label htmlFor={`${id}-summary`}>{name("summary")}</label>
          <textarea id={`${id}-summary`} rows={2} value={texts.summary} onChange={(event) => setTexts({ ...texts, summary: event.target.value })} />
          <div className="between">
            <label htmlFor={`${id}-body`}>Markdown</label>
            <UploadButton purpose="FILE_PURPOSE_IMAGE" accept={IMAGES} multiple={false} label={t("Insert image")} onUploaded={insert} />
          </div>
          <textarea id={`${id}-body`} ref={text} className="markdown" rows={18} required value={texts.body} onChange={(event) => setTexts({ ...texts, body: event.target.value })}
            onKeyDown={(event) => { if (event.key === "s" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (changed.length > 0 && !busy) void save(); } }} />
        </div>
      </Card>
      <Card title={t("Preview")}>
        {changed.length > 0 && <p className="notice" role="status">{t("Save to see your changes here.")}</p>}
        <Preview post={post} />
      </Card>
    </form>
  );
}
