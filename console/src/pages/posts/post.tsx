/**
 * One post: the editor and the preview. After a concurrent change, both texts are merged, and the user decides only
 * about the conflicting fields.
 */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useId, useRef, useState } from "react";

import { api, ifMatch, read, type Schemas } from "../../api/client";
import { asApiError, mayHaveTakenEffect } from "../../api/errors";
import type { StoredFile } from "../../api/files";
import { IdempotencyKeys } from "../../api/idempotency";
import type { Values } from "../../resource/fields";
import { changed, MergeSheet, same } from "../../resource/merge";
import { useName, useText } from "../../text";
import { Badge } from "../../ui/format";
import { UploadButton } from "../../ui/attachments";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem, ProblemPage } from "../../ui/problem";
import { toast } from "../../ui/toast";
import { Fields } from "../../ui/value";
import { History } from "../access/audit";
import { Action } from "../kit";
import { Preview } from "./preview";

type Post = Schemas["Post"];
type Texts = { title: string; summary: string; body: string };

const postKey = (id: string) => ["post", id] as const;

async function fetchPost(id: string, signal: AbortSignal | null = null): Promise<Post> {
  return (await read(api.GET("/api/v1/posts/{postId}", { params: { path: { postId: id } }, signal }))).data;
}

export function PostPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const { data, error, refetch } = useQuery({
    queryKey: postKey(id),
    queryFn: ({ signal }) => fetchPost(id, signal),
    // The text must not change while the user reads it.
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
      <History resourceId={post.id} />
    </PageFrame>
  );
}

const IMAGES = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/** Returns the default alternative text of an image, which the author may replace. */
function altText(name: string): string {
  return name.replace(/\.\w+$/, "").replace(/[[\]\\_-]+/g, " ").trim();
}

function textsOf({ title, summary, body = "" }: Pick<Post, "title" | "summary" | "body">): Texts {
  return { title, summary, body };
}

/**
 * Returns the fields of a post that a merge shows. They include the status, because the post may have been published
 * meanwhile.
 */
function mergeable(post: Post): Values {
  return { ...textsOf(post), status: post.status };
}

/** The text, with the saved version as rendered by the server. */
function Editor({ post }: { post: Post }) {
  const t = useText();
  const name = useName();
  const id = useId();
  const client = useQueryClient();
  // The version that the texts are based on: differences from it were made here, and are saved only on top of it.
  const [base, setBase] = useState(post);
  const [texts, setTexts] = useState(() => textsOf(post));
  const [conflict, setConflict] = useState<{ base: Post; merged: Texts | undefined; latest: Post }>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [keys] = useState(() => new IdempotencyKeys());
  const text = useRef<HTMLTextAreaElement>(null);
  /** The last sent texts, if they may have been saved although there was no response. */
  const unanswered = useRef<Texts | undefined>(undefined);
  const isChanged = !same(texts, textsOf(base));
  // The page has read a later version, which becomes the base unless a concurrent change affects a text being edited.
  if (BigInt(post.version) > BigInt(base.version) && (!isChanged || same(textsOf(post), textsOf(base)))) {
    setBase(post);
    if (!isChanged) setTexts(textsOf(post));
  }
  /** Continues with another version, with these texts or those in the form. */
  const goOn = (version: Post, next?: Texts) => {
    unanswered.current = undefined;
    client.setQueryData(postKey(post.id), version);
    setBase(version);
    if (next) setTexts(next);
    setConflict(undefined);
  };
  const send = async (mine: Texts, version: Post): Promise<Post> => {
    const body = changed(textsOf(version), mine) as Partial<Texts>;
    const fields = Object.keys(body);
    if (fields.length === 0) return version;
    return (await keys.send({ version: version.version, body }, (key) => {
      const header = { ...ifMatch(version.version), "Idempotency-Key": key };
      const params = { path: { postId: post.id }, query: { updateMask: fields.join(",") }, header };
      return read(api.PATCH("/api/v1/posts/{postId}", { params, body }));
    })).data;
  };
  /** If the texts were saved although the response was lost, later changes are based on them, and do not conflict. */
  const takeOver = async (sent: Texts, merged?: Texts) => {
    unanswered.current = sent;
    const latest = await fetchPost(post.id);
    if (same(textsOf(latest), sent)) goOn(latest, merged);
  };
  /**
   * Saves the form's values, or the result of a merge, on top of a version. If there is a later version, both must be
   * merged.
   */
  const save = async (version: Post, merged?: Texts): Promise<void> => {
    const mine = merged ?? texts;
    try {
      goOn(await send(mine, version), merged);
      void client.invalidateQueries({ queryKey: ["posts"] });
      toast(t("Saved"));
    } catch (failure) {
      const problem = asApiError(failure);
      if (mayHaveTakenEffect(problem)) void takeOver(mine, merged).catch(() => undefined);
      if (problem.status !== 412) throw failure;
      const latest = await fetchPost(post.id);
      if (unanswered.current && same(textsOf(latest), unanswered.current)) return await save(latest, merged);
      client.setQueryData(postKey(post.id), latest);
      setConflict({ base: version, merged, latest });
    }
  };
  const submit = async () => {
    setBusy(true);
    setError(undefined);
    await save(base).catch(setError);
    setBusy(false);
  };
  /** Inserts an image at the cursor. */
  const insert = ([file]: StoredFile[]) => {
    const { selectionStart: at = texts.body.length, selectionEnd: end = at } = text.current ?? {};
    if (file) setTexts({ ...texts, body: `${texts.body.slice(0, at)}![${altText(file.name)}](/images/${file.id})${texts.body.slice(end)}` });
  };
  return (
    <>
      <form className="editor" onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <Card title={t("Text")} actions={<button type="submit" className="primary" disabled={busy || !isChanged}>{t("Save")}</button>}>
          {error !== undefined && isChanged && <Problem error={error} />}
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
              onKeyDown={(event) => { if (event.key === "s" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (isChanged && !busy) void submit(); } }} />
          </div>
        </Card>
        <Card title={t("Preview")}>
          {isChanged && <p className="notice" role="status">{t("Save to see your changes here.")}</p>}
          <Preview post={post} />
        </Card>
      </form>
      {conflict && (
        <MergeSheet key={conflict.latest.version} base={mergeable(conflict.base)} mine={{ ...mergeable(conflict.base), ...(conflict.merged ?? texts) }} theirs={mergeable(conflict.latest)}
          onMerged={(values) => save(conflict.latest, textsOf(values as Texts))} onDiscard={() => goOn(conflict.latest, textsOf(conflict.latest))} onClose={() => setConflict(undefined)} />
      )}
    </>
  );
}
