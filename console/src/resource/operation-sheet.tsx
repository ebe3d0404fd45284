/** The dialog of an operation: it collects the operation's inputs, and sends it. */

import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";

import { call, ifMatch, type Query } from "../api/client";
import type { Operation, Schema } from "../api/contract";
import { useReach } from "../shell/user";
import { useName, useText } from "../text";
import { Sheet } from "../ui/dialog";
import { toast } from "../ui/toast";
import { Value } from "../ui/value";
import type { Values } from "./fields";
import { SchemaForm } from "./form";
import { pathOf } from "./model";
import type { OperationProps } from "./operation";

export default function OperationSheet({ contract, operation, values, initial: latest = {}, version, name, label, onDone, onClose }: OperationProps & { label: string; onClose: () => void }) {
  const t = useText();
  const nameOf = useName();
  const client = useQueryClient();
  const reach = useReach()(operation);
  // The server puts in the account of callers who reach no other.
  const body = reach === "any" ? operation.body : withoutAccount(operation.body);
  const [secret, setSecret] = useState<Record<string, unknown>>();
  // The form's initial values. The page may read the resource again meanwhile, and equal values must yield an equal
  // request.
  const [initial] = useState(() => Object.fromEntries(Object.entries(latest).filter(([field]) => body?.properties?.[field])));
  const hasFailed = useRef(false);
  /** Refreshes the page when the dialog closes, so that it shows the effect of a request that failed. */
  const close = () => {
    if (hasFailed.current) void client.invalidateQueries();
    onClose();
  };
  const send = async (form: Values, key: string) => {
    const path = pathOf(operation, values as Record<string, string>) ?? operation.path;
    const changed = operation.method === "patch" ? changes(form, initial) : form;
    const query: Query = operation.method === "patch" ? { updateMask: Object.keys(changed).join(",") } : {};
    const headers = { ...(operation.takesKey && { "Idempotency-Key": key }), ...(operation.conditional && ifMatch(version)) };
    const content = body ? changed : undefined;
    const answer = await call({ method: operation.method, path, query, body: content, headers }).catch((failure: unknown) => {
      hasFailed.current = true;
      throw failure;
    });
    // After the deletion of what a page shows, the page is left, and must not read it again.
    const isLeft = operation.method === "delete" && onDone !== undefined;
    void client.invalidateQueries({ refetchType: isLeft ? "none" : "active" });
    toast(t("Done: {what}", { what: label }));
    const once = secrets(answer, operation);
    if (once) {
      setSecret(once);
      return;
    }
    onDone?.(answer);
    onClose();
  };
  if (secret) {
    return (
      <Sheet title={t("Shown only once")} onClose={onClose}>
        <p>{t("Keep this now; it can't be shown again.")}</p>
        <dl className="fields">{Object.entries(secret).map(([field, value]) => <div key={field}><dt>{nameOf(field)}</dt><dd><Copied value={String(value)} what={nameOf(field)} /></dd></div>)}</dl>
        <footer><button type="button" className="primary" onClick={onClose}>{t("Saved")}</button></footer>
      </Sheet>
    );
  }
  const danger = operation.method === "delete";
  return (
    <Sheet title={label} onClose={close}>
      <SchemaForm contract={contract} schema={body} initial={initial} submit={label} danger={danger} onSubmit={send} isRepeatable={isRepeatable(operation)} onCancel={close}>
        {name !== undefined && <p className={danger ? "warning" : undefined}>{danger && t("This can't be undone:")} <b><Value value={name} field="name" /></b></p>}
        <p className="help">{operation.summary}</p>
      </SchemaForm>
    </Sheet>
  );
}

function withoutAccount(schema: Schema | undefined): Schema | undefined {
  if (!schema?.properties?.["accountId"]) return schema;
  const { accountId: _, ...properties } = schema.properties;
  return { ...schema, properties };
}

/** Returns whether a repeated request takes effect once: under a key, or because it describes the target state. */
function isRepeatable({ takesKey, method }: Operation): boolean {
  return takesKey || method !== "post";
}

function changes(form: Values, initial: Values): Values {
  return Object.fromEntries(Object.entries(form).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(initial[name])));
}

/** A value, with a button that copies it. */
function Copied({ value, what }: { value: string; what: string }) {
  const t = useText();
  const copy = () => void navigator.clipboard.writeText(value).then(() => toast(t("Copied")));
  return <><code className="secret">{value}</code> <button type="button" className="link" aria-label={`${t("Copy")}: ${what}`} onClick={copy}>{t("Copy")}</button></>;
}

/** Returns members of a response besides the resource, such as the secret of a new key. The secret of an application goes with its id. */
function secrets(answer: unknown, { id }: Operation): Record<string, unknown> | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const others = Object.entries(answer).filter(([name]) => name !== "data" && name !== "meta");
  const client = id.startsWith("OauthClientService_") && "data" in answer && isIdentified(answer.data) ? { clientId: answer.data.id } : {};
  return others.length > 0 ? { ...client, ...Object.fromEntries(others) } : undefined;
}

function isIdentified(data: unknown): data is { id: string } {
  return typeof data === "object" && data !== null && "id" in data && typeof data.id === "string";
}
