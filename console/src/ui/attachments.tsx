/** The files attached to a resource, and the inputs that add files. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { Button, FileTrigger } from "react-aria-components";

import { api, read } from "../api/client";
import { download, upload, type StoredFile } from "../api/files";
import { IdempotencyKeys } from "../api/idempotency";
import { useText } from "../text";
import { useSize } from "./format";
import { Problem } from "./problem";

export const MAX_FILES = 10;

/** The files that are attached to a ticket or a comment. */
export function Attachments({ parentId, version, ids, onRemove }: { parentId: string; version: string; ids: readonly string[]; onRemove?: (id: string) => void }) {
  const { data, error, refetch } = useQuery({
    queryKey: ["files", parentId, version],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/files", { params: { query: { parentId, pageSize: 100 } }, signal }))).data,
    enabled: ids.length > 0,
    placeholderData: keepPreviousData,
  });
  if (ids.length === 0) return null;
  if (error && !data) return <Problem error={error} onRetry={() => void refetch()} />;
  const files = ids.map((id) => data?.find((one) => one.id === id));
  return (
    <ul className="files" aria-busy={!data}>
      {files.map((file, index) => <li key={ids[index]}>{file ? <FileRow file={file} {...(onRemove && { onRemove })} /> : data ? <span className="dim">…</span> : <span className="skeleton" />}</li>)}
    </ul>
  );
}

function FileRow({ file, onRemove }: { file: StoredFile; onRemove?: (id: string) => void }) {
  const t = useText();
  const size = useSize();
  const [error, setError] = useState<unknown>();
  return (
    <>
      <button type="button" className="link" title={t("Download")} onClick={() => { setError(undefined); void download(file.id).catch(setError); }}>{file.name}</button>{" "}
      <small className="number">{size(Number(file.sizeBytes))}</small>
      {onRemove && <Remove name={file.name} onPress={() => onRemove(file.id)} />}
      {error !== undefined && <Problem error={error} />}
    </>
  );
}

function Remove({ name, onPress }: { name: string; onPress: () => void }) {
  const t = useText();
  return <button type="button" className="quiet icon" aria-label={t("Remove {name}", { name })} title={t("Remove")} onClick={onPress}>✕</button>;
}

type UploadButtonProps = { accountId?: string | undefined; accept?: readonly string[]; purpose?: StoredFile["purpose"]; label?: ReactNode; multiple?: boolean; disabled?: boolean; onUploaded: (files: StoredFile[]) => void };

/** A button that uploads the chosen files. */
export function UploadButton({ accountId, accept, purpose = "FILE_PURPOSE_ATTACHMENT", label, multiple = true, disabled = false, onUploaded }: UploadButtonProps) {
  const t = useText();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [keys] = useState(() => new IdempotencyKeys());
  const send = async (list: FileList | null) => {
    const chosen = [...(list ?? [])];
    if (chosen.length === 0) return;
    setBusy(true);
    setError(undefined);
    const done: StoredFile[] = [];
    try {
      for (const file of chosen) {
        // The identity of a file that is chosen again: it may already be stored although the response was lost.
        const { name, size, type, lastModified } = file;
        done.push(await keys.send({ name, size, type, lastModified, purpose, accountId }, (key) => upload(key, file, purpose, accountId)));
      }
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
    if (done.length > 0) onUploaded(done);
  };
  return (
    <>
      <FileTrigger allowsMultiple={multiple} {...(accept && { acceptedFileTypes: [...accept] })} onSelect={(list) => void send(list)}>
        <Button isDisabled={busy || disabled}>{busy ? t("Uploading …") : (label ?? t("Attach files"))}</Button>
      </FileTrigger>
      {error !== undefined && <Problem error={error} />}
    </>
  );
}

/** Files to be attached to the resource of a form. */
export function AttachmentInput({ accountId, files, onChange }: { accountId?: string | undefined; files: readonly StoredFile[]; onChange: (files: StoredFile[]) => void }) {
  return (
    <div className="attach">
      {files.length > 0 && <ul className="files">{files.map((file) => <li key={file.id}><FileRow file={file} onRemove={(id) => onChange(files.filter((one) => one.id !== id))} /></li>)}</ul>}
      <UploadButton accountId={accountId} disabled={files.length >= MAX_FILES} onUploaded={(more) => onChange([...files, ...more].slice(0, MAX_FILES))} />
    </div>
  );
}
