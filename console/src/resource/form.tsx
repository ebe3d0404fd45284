/** A form for a message of the contract. */

import { useEffect, useRef, useState, type ReactNode } from "react";

import { asApiError } from "../api/errors";
import type { Contract, Schema } from "../api/contract";
import { IdempotencyKeys } from "../api/idempotency";
import { useText } from "../text";
import { Problem } from "../ui/problem";
import { SentBefore } from "../ui/sent-before";
import { Group, type Values } from "./fields";

type FormProps = {
  contract: Contract;
  schema: Schema | undefined;
  initial?: Values;
  submit: string;
  danger?: boolean;
  /** Submits the form. The key is bound to the values: values with an unknown outcome are resubmitted under the same key. */
  onSubmit: (values: Values, key: string) => Promise<unknown>;
  /** Whether a repetition with the same values takes effect once. */
  isRepeatable?: boolean;
  onCancel: () => void;
  children?: ReactNode;
};

export function SchemaForm({ contract, schema, initial = {}, submit, danger = false, onSubmit, isRepeatable = true, onCancel, children }: FormProps) {
  const t = useText();
  const [values, setValues] = useState<Values>(initial);
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [keys] = useState(() => new IdempotencyKeys());
  const send = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await keys.send(values, (key) => onSubmit(values, key));
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  // The first input is focused when the form opens.
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("input, select, textarea")?.focus(), []);
  const problems = error === undefined ? {} : asApiError(error).fields;
  return (
    <form ref={form} className="form" onSubmit={(event) => { event.preventDefault(); void send(); }}>
      {children}
      {schema && <Group contract={contract} schema={schema} values={values} problems={problems} path="" onChange={setValues} />}
      {error !== undefined && <Problem error={error} />}
      <SentBefore keys={keys} request={values} isRepeatable={isRepeatable} />
      <footer>
        <button type="button" onClick={onCancel}>{t("Cancel")}</button>
        <button type="submit" className={danger ? "danger" : "primary"} disabled={busy}>{submit}</button>
      </footer>
    </form>
  );
}
