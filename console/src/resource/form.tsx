/** A form for a message of the contract. */

import { useId, useRef, useState, type ReactNode } from "react";

import { asApiError } from "../api/errors";
import { newKey } from "../api/client";
import type { Contract, Schema } from "../api/contract";
import { useName, useText } from "../text";
import { Problem } from "../ui/problem";
import { Input, type InputProps } from "./input";

export type Values = Record<string, unknown>;

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
  const problems = error === undefined ? {} : asApiError(error).fields;
  return (
    <form className="form" onSubmit={(event) => { event.preventDefault(); void send(); }}>
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

type GroupProps = {
  contract: Contract;
  schema: Schema;
  values: Values;
  problems: Readonly<Record<string, string>>;
  path: string;
  onChange: (values: Values) => void;
};

/** The fields of one message. */
export function Group({ contract, schema, values, problems, path, onChange }: GroupProps) {
  return (
    <>
      {Object.entries(schema.properties ?? {}).map(([name, raw]) => (
        <Field
          key={name}
          contract={contract}
          schema={contract.resolve(raw)}
          name={name}
          path={`${path}${name}`}
          required={schema.required?.includes(name) ?? false}
          value={values[name]}
          problems={problems}
          onChange={(value) => onChange(without({ ...values, [name]: value }))}
        />
      ))}
    </>
  );
}

function without(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function Field(props: Omit<InputProps, "id" | "describedBy">) {
  const name = useName();
  const id = useId();
  const { schema, required, problems, path } = props;
  const problem = problems[path];
  const help = firstSentence(schema.description);
  const isGroup = schema.type === "object" || (schema.type === "array" && props.contract.resolve(schema.items ?? {}).type === "object");
  const label = <>{name(props.name)}{required && <span className="required" aria-hidden="true"> *</span>}</>;
  const input = <Input {...props} id={id} describedBy={`${id}-help`} />;
  return (
    <div className="field">
      {isGroup ? <fieldset><legend>{label}</legend>{input}</fieldset> : <><label htmlFor={id}>{label}</label>{input}</>}
      <p id={`${id}-help`} className={problem ? "help bad" : "help"}>{problem ?? help}</p>
    </div>
  );
}

function firstSentence(text = ""): string {
  return (text.split("\n")[0] ?? "").replaceAll("`", "");
}
