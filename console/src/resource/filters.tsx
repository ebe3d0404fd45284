/** The filters of a list, which are kept in the URL. */

import { useEffect, useId, useState } from "react";

import type { Query } from "../api/client";
import type { Contract, Operation, Schema } from "../api/contract";
import { useName, useText } from "../text";
import { filtersOf } from "./model";

type FiltersProps = { contract: Contract; list: Operation; search: Query; onChange: (next: Query) => void };

export function Filters({ contract, list, search, onChange }: FiltersProps) {
  const t = useText();
  const names = [
    ...list.variables.map((name): [string, Schema] => [name, { type: "string" }]),
    ...filtersOf(list).map((parameter): [string, Schema] => [parameter.name, contract.resolve(parameter.schema)]),
  ];
  if (names.length === 0) return null;
  return (
    <form className="filters" role="search" aria-label={t("Filters")} onSubmit={(event) => event.preventDefault()}>
      {names.map(([name, schema]) => (
        <Filter key={name} name={name} schema={schema.type === "array" ? contract.resolve(schema.items ?? {}) : schema} value={search[name]} onChange={(value) => onChange({ [name]: value })} />
      ))}
    </form>
  );
}

type FilterProps = { name: string; schema: Schema; value: string | readonly string[] | undefined; onChange: (value: string | undefined) => void };

function Filter({ name, schema, value, onChange }: FilterProps) {
  const label = useName();
  const t = useText();
  const id = useId();
  const current = typeof value === "string" ? value : (value?.[0] ?? "");
  const values = (schema.enum ?? []).filter((one) => !one.endsWith("_UNSPECIFIED"));
  return (
    <div>
      <label htmlFor={id}>{label(name)}</label>
      {schema.enum ? (
        <select id={id} value={current} onChange={(event) => onChange(event.target.value || undefined)}>
          <option value="">{t("any")}</option>
          {values.map((one) => <option key={one} value={one}>{label(one)}</option>)}
        </select>
      ) : (
        <DebouncedInput id={id} value={current} onChange={(text) => onChange(text || undefined)} />
      )}
    </div>
  );
}

const DEBOUNCE_MS = 300;

/** A text input that reports its value once typing pauses. */
export function DebouncedInput({ id, value, onChange, ...rest }: { id: string; value: string; onChange: (text: string) => void; type?: string; placeholder?: string }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onChange(text), DEBOUNCE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return <input id={id} type="search" autoComplete="off" value={text} onChange={(event) => setText(event.target.value)} {...rest} />;
}
