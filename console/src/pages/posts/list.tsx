/** Posts: published ones, and drafts. */

import { Link, useNavigate } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Badge, Time } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Value } from "../../ui/value";
import { Action, ListPage, pageOf, useSearchParams } from "../kit";

type Post = Schemas["Post"];

export function PostsPage() {
  const t = useText();
  const name = useName();
  const navigate = useNavigate();
  const [search] = useSearchParams();
  const published = search["list"] === "published";
  const columns: Column<Post>[] = [
    { name: "title", label: name("title"), cell: (post) => <Link className="row-link" to="/posts/$id" params={{ id: post.id }}>{post.title}</Link> },
    { name: "status", label: name("status"), cell: (post) => <Badge value={post.status} /> },
    { name: "tags", label: name("tags"), wide: true, cell: (post) => <Value value={post.tags} field="tags" /> },
    { name: "publishTime", label: name("publishTime"), wide: true, cell: (post) => <Time value={post.publishTime} /> },
    { name: "updateTime", label: name("updateTime"), wide: true, cell: (post) => <Time value={post.updateTime} /> },
  ];
  return (
    <ListPage name="posts" title={t("Posts")} empty={t("No posts here yet. “New post” above begins a draft; once it is published, all readers see it.")} columns={columns}
      actions={<Action id="PostService_CreatePost" label={t("New post")} primary onDone={(answer) => void navigate({ to: "/posts/$id", params: { id: (answer as { data: Post }).data.id } })} />}
      filters={(
        <nav className="tabs" aria-label={t("Lists")}>
          <Link to="/posts" search={{} as never} aria-current={published ? undefined : "page"}>{t("Not published")}</Link>
          <Link to="/posts" search={{ list: "published" } as never} aria-current={published ? "page" : undefined}>{t("Published")}</Link>
        </nav>
      )}
      fetch={(search, signal) => {
        const query = { page: pageOf(search), pageSize: 50 };
        return search["list"] === "published"
          ? read(api.GET("/api/v1/posts", { params: { query }, signal }))
          : read(api.GET("/api/v1/posts/drafts", { params: { query }, signal }));
      }} />
  );
}
