/** The files that the caller reaches: attachments of tickets and comments, and images of posts. */

import { useState } from "react";

import { api, read } from "../api/client";
import { download, type StoredFile } from "../api/files";
import { useName, useText } from "../text";
import { Time, useSize } from "../ui/format";
import { Problem } from "../ui/problem";
import type { Column } from "../ui/table";
import { ListPage, pageOf } from "./kit";

export function FilesPage() {
  const t = useText();
  const name = useName();
  const size = useSize();
  const columns: Column<StoredFile>[] = [
    { name: "name", label: name("name"), cell: (file) => <FileLink file={file} /> },
    { name: "size", label: t("Size"), number: true, cell: (file) => size(Number(file.sizeBytes)) },
    { name: "createTime", label: t("Created"), wide: true, cell: (file) => <Time value={file.createTime} /> },
  ];
  return (
    <ListPage name="files" title={t("Files")} empty={t("No files yet. Open a ticket, and choose “Attach files” with a comment: the files appear here.")} columns={columns}
      fetch={(search, signal) => read(api.GET("/api/v1/files", { params: { query: { page: pageOf(search), pageSize: 50 } }, signal }))} />
  );
}

function FileLink({ file }: { file: StoredFile }) {
  const t = useText();
  const [error, setError] = useState<unknown>();
  return (
    <>
      <button type="button" className="link" title={t("Download")} onClick={() => { setError(undefined); void download(file.id).catch(setError); }}>{file.name}</button>
      {error !== undefined && <Problem error={error} />}
    </>
  );
}
