/** A post as rendered by the server for its readers. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import type { Schemas } from "../../api/client";
import { asApiError } from "../../api/errors";
import { linkTo } from "../../api/files";
import { Problem } from "../../ui/problem";

const IMAGE = /^\/images\/([0-9a-f-]{36})(?=$|[?#])/;
/** Shorter than the lifetime of a link. A new link makes the browser load the image again. */
const LINKS_MS = 60_000;

/** Returns the link of an image; empty if it was deleted, so that its alternative text is shown. */
async function linkIfAny(id: string): Promise<string> {
  return await linkTo(id).catch((error: unknown) => {
    if (asApiError(error).status === 404) return "";
    throw error;
  });
}

/** Parses without loading the images, because the document is not attached to the page. */
function parse(html: string): Document {
  return new DOMParser().parseFromString(html, "text/html");
}

function imageIds(html: string): string[] {
  const found = [...parse(html).images].map((image) => IMAGE.exec(image.getAttribute("src") ?? "")?.[1]);
  return [...new Set(found.filter((id) => id !== undefined))].sort();
}

/** Replaces the sources of images on this server by signed links. */
function withLinks(html: string, links: ReadonlyMap<string, string>): string {
  const page = parse(html);
  for (const image of page.images) {
    const id = IMAGE.exec(image.getAttribute("src") ?? "")?.[1];
    const link = id && links.get(id);
    if (link) image.setAttribute("src", link);
    else if (id) image.removeAttribute("src");
  }
  return page.body.innerHTML;
}

export function Preview({ post }: { post: Schemas["Post"] }) {
  const html = post.html ?? "";
  // The images of published posts are public; images of drafts need a link that the author is allowed to create.
  const isPublic = post.status === "POST_STATUS_PUBLISHED";
  const ids = useMemo(() => (isPublic ? [] : imageIds(html)), [isPublic, html]);
  const { data, error, refetch } = useQuery({
    queryKey: ["image-links", ids],
    queryFn: async () => new Map(await Promise.all(ids.map(async (id): Promise<[string, string]> => [id, await linkIfAny(id)]))),
    enabled: ids.length > 0,
    staleTime: LINKS_MS,
    refetchOnWindowFocus: false,
  });
  const shown = useMemo(() => (isPublic ? html : withLinks(html, data ?? new Map())), [isPublic, html, data]);
  return (
    <>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {/* Safe: the server lets through an allow-list of elements, and the page's policy no script. */}
      <div className="prose" aria-busy={ids.length > 0 && !data && !error} dangerouslySetInnerHTML={{ __html: shown }} />
    </>
  );
}
