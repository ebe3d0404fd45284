/** A form for a message of the contract. */

import { useEffect, useRef, useState, type ReactNode } from "react";

import { asApiError } from "../api/errors";
import { newKey } from "../api/client";
import type { Contract, Schema } from "../api/contract";
import { useText } from "../text";
import { Problem } from "../ui/problem";
import { Group, type Values } from "./fields";

type FormProps = {
  contract: Contract;
  schema: Schema | undefined;
  initial?: Values;
  submit: string;
  danger?: boolean;
  /** Sends it. A repeated attempt with the same values has the same key. */
  onSubmit: (values: Values, key: string) => Promise<unknown>;
  onCancel: () => void;
  children?: ReactNode;
};

export function SchemaForm({ contract, schema, initial = {}, submit, danger = false, onSubmit, onCancel, children }: FormProps) {
  const t = useText();
  const [values, setValues] = useState<Values>(initial);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const last = useRef({ body: "", key: "" });
  const send = async () => {
    const body = JSON.stringify(values);
    if (last.current.body !== body) last.current = { body, key: newKey() };
    setBusy(true);
    setError(undefined);
    try {
      await onSubmit(values, last.current.key);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  // Who opens a form wants to fill it in.
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("input, select, textarea")?.focus(), []);
  const problems = error === undefined ? {} : asApiError(error).fields;
  return (
    <form ref={form} className="form" onSubmit={(event) => { event.preventDefault(); void send(); }}>
      {children}
      {schema && <Group contract={contract} schema={schema} values={values} problems={problems} path="" onChange={setValues} />}
      {error !== undefined && <Problem error={error} />}
      <footer>
        <button type="button" onClick={onCancel}>{t("Cancel")}</button>
        <button type="submit" className={danger ? "danger" : "primary"} disabled={busy}>{submit}</button>
      </footer>
    </form>
  );
}
