/** The fields of a message, and the input for a value, by its schema. */

import { useId, useState } from "react";

import { choicesOf, type Choice, type Contract, type Schema } from "../api/contract";
import type { StoredFile } from "../api/files";
import { useMe } from "../shell/user";
import { useName, useText } from "../text";
import { AttachmentInput, MAX_FILES } from "../ui/attachments";
import { major, minor } from "../ui/amount";
import { isMoney, localTime } from "../ui/format";
import { useAccounts } from "../ui/names";
import { ScopeChecks } from "../ui/scopes";

export type Values = Record<string, unknown>;

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
  const t = useText();
  const id = useId();
  const { schema, required, problems, path } = props;
  const problem = problems[path];
  const help = props.name === "attachmentIds" ? t("At most {count} files, of 16 MB each.", { count: MAX_FILES }) : helpOf(schema.description).replace(CONSTANT, name);
  const items = props.contract.resolve(schema.items ?? {});
  const isGroup = isMessage(schema) || props.name === "attachmentIds" || (schema.type === "array" && (items.type === "object" || choicesOf(items).length > 0));
  const label = <>{name(props.name)}{required && <span className="required" aria-hidden="true"> *</span>}</>;
  const input = <Input {...props} id={id} describedBy={`${id}-help`} />;
  return (
    <div className="field">
      {isGroup ? <fieldset><legend>{label}</legend>{input}</fieldset> : <><label htmlFor={id}>{label}</label>{input}</>}
      <p id={`${id}-help`} className={problem ? "help bad" : "help"}>{problem ?? help}</p>
    </div>
  );
}

/** A value of an enum within a sentence. */
const CONSTANT = /\b[A-Z]+(?:_[A-Z]+)+\b/g;

/** The length of a help text, unless its first sentence is longer. */
const MAX_HELP = 160;

/** Returns the first sentences of a description. */
function helpOf(text = ""): string {
  const [first = "", ...rest] = (text.split("\n")[0] ?? "").replaceAll("`", "").split(/(?<=\.) (?=[A-Z])/);
  let help = first;
  for (const sentence of rest) {
    if (help.length + sentence.length > MAX_HELP) break;
    help += ` ${sentence}`;
  }
  return help;
}

type InputProps = {
  contract: Contract;
  schema: Schema;
  id: string;
  name: string;
  path: string;
  describedBy: string;
  required: boolean;
  value: unknown;
  problems: Readonly<Record<string, string>>;
  onChange: (value: unknown) => void;
};

const LONG = 300;

function Input(props: InputProps) {
  const { schema, id, describedBy, required, value, onChange } = props;
  const common = { id, required, "aria-describedby": describedBy };
  if (schema.enum) return <Select {...props} />;
  if (schema.type === "array" && props.name === "attachmentIds") return <Files {...props} />;
  if (schema.type === "array") return <List {...props} />;
  if (props.name === "accountId") return <AccountInput {...props} />;
  if (isAmount(schema)) return <Amount {...props} />;
  if (isMessage(schema)) return <Nested {...props} />;
  // A map, or any JSON.
  if (schema.type === "object" || (!schema.type && !schema.properties)) return <Json {...props} />;
  if (schema.type === "boolean") {
    return <input {...common} required={false} type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />;
  }
  if (schema.type === "integer" || schema.type === "number") {
    const set = (text: string) => onChange(text === "" ? undefined : Number(text));
    return <input {...common} type="number" value={typeof value === "number" ? value : ""} onChange={(event) => set(event.target.value)} />;
  }
  if (schema.format === "date-time") {
    const set = (text: string) => onChange(text === "" ? undefined : new Date(text).toISOString());
    return <input {...common} type="datetime-local" value={localTime(value)} onChange={(event) => set(event.target.value)} />;
  }
  const text = typeof value === "string" ? value : "";
  // A cleared field of a patch is sent; an empty field of a new resource is omitted.
  const set = (next: string) => onChange(next === "" && value === undefined ? undefined : next);
  if (schema.format === "password") {
    const autoComplete = props.name === "password" ? "new-password" : "current-password";
    return <input {...common} type="password" autoComplete={autoComplete} value={text} onChange={(event) => set(event.target.value)} />;
  }
  if (props.name === "url" || props.name === "issuer") {
    return <input {...common} type="url" autoComplete="off" placeholder="https://" value={text} onChange={(event) => set(event.target.value)} />;
  }
  if ((schema.maxLength ?? 0) > LONG) {
    return <textarea {...common} rows={5} value={text} onChange={(event) => set(event.target.value)} />;
  }
  const mode = schema.format === "int64" ? "numeric" : undefined;
  return <input {...common} type={schema.format === "email" ? "email" : "text"} inputMode={mode} autoComplete="off" value={text} onChange={(event) => set(event.target.value)} />;
}

/** The id of an account. Staff choose it by its name. */
function AccountInput({ id, describedBy, required, value, onChange }: InputProps) {
  const { data: accounts = [] } = useAccounts();
  const t = useText();
  return (
    <>
      <input id={id} aria-describedby={describedBy} required={required} list={`${id}-accounts`} placeholder={accounts.length > 0 ? t("Choose a customer, or enter an ID") : ""} autoComplete="off" value={typeof value === "string" ? value : ""} onChange={(event) => onChange(event.target.value || undefined)} />
      <datalist id={`${id}-accounts`}>{accounts.map((one) => <option key={one.id} value={one.id}>{one.name}</option>)}</datalist>
    </>
  );
}

function Select({ schema, id, describedBy, required, value, onChange }: InputProps) {
  const name = useName();
  const values = (schema.enum ?? []).filter((one) => !one.endsWith("_UNSPECIFIED"));
  return (
    <select id={id} aria-describedby={describedBy} required={required} value={String(value ?? "")} onChange={(event) => onChange(event.target.value || undefined)}>
      <option value="" />
      {values.map((one) => <option key={one} value={one}>{name(one)}</option>)}
    </select>
  );
}

function isMessage({ type, properties }: Schema): boolean {
  return type === "object" && properties !== undefined;
}

/** A map or a document, as JSON. */
function Json({ id, describedBy, required, value, onChange }: InputProps) {
  const t = useText();
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const parsed = parse(text);
  const judge = (input: HTMLTextAreaElement | null) => input?.setCustomValidity(parsed === undefined && text !== "" ? t("This is not JSON.") : "");
  const set = (next: string) => {
    setText(next);
    onChange(parse(next));
  };
  return <textarea ref={judge} id={id} aria-describedby={describedBy} required={required} rows={4} spellCheck={false} value={text} onChange={(event) => set(event.target.value)} />;
}

/** The value of a text in JSON; undefined if it is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Several of the values that the contract lists. Of scopes, users give only the scopes that they hold. */
function Choices({ contract, id, value, onChange, choices }: InputProps & { choices: Choice[] }) {
  const all: string[] = Array.isArray(value) ? value : [];
  const { scopes } = useMe();
  const label = useName();
  if (choices.every(({ name }) => contract.scopes.some((scope) => scope.name === name))) {
    const offered = choices.map(({ name }) => name).filter((name) => all.includes(name) || scopes.has(name));
    return <ScopeChecks id={id} offered={offered} chosen={all} onChange={onChange} />;
  }
  const toggle = (one: string) => onChange(all.includes(one) ? all.filter((other) => other !== one) : [...all, one]);
  return (
    <div id={id} className="scopes choices">
      {choices.map(({ name, summary }) => (
        <label key={name} className="check">
          <input type="checkbox" checked={all.includes(name)} onChange={() => toggle(name)} />
          <span>{summary}<br /><small>{/^[A-Z0-9_]+$/.test(name) ? label(name) : <code>{name}</code>}</small></span>
        </label>
      ))}
    </div>
  );
}

/** Several values: a choice, one per line, or one form each. */
function List(props: InputProps) {
  const t = useText();
  const { contract, id, describedBy, required, value, onChange } = props;
  const items = contract.resolve(props.schema.items ?? {});
  const all: unknown[] = Array.isArray(value) ? value : [];
  const choices = choicesOf(items);
  if (choices.length > 0) return <Choices {...props} choices={choices} />;
  if (items.type !== "object") {
    const set = (text: string) => onChange(text === "" ? [] : text.split("\n"));
    return <textarea id={id} aria-describedby={describedBy} required={required} rows={3} placeholder={t("one per line")} value={all.join("\n")} onChange={(event) => set(event.target.value)} />;
  }
  const replace = (index: number, next: unknown) => onChange(all.map((one, at) => (at === index ? next : one)));
  return (
    <div id={id} className="group">
      {all.map((one, index) => (
        <div className="group" key={index}>
          <Group contract={contract} schema={items} values={(one ?? {}) as Values} problems={props.problems} path={`${props.path}[${index}].`} onChange={(next) => replace(index, next)} />
          <button type="button" onClick={() => onChange(all.filter((_, at) => at !== index))}>{t("Remove")}</button>
        </div>
      ))}
      <button type="button" onClick={() => onChange([...all, {}])}>{t("Add")}</button>
    </div>
  );
}

/** Files to attach, which are uploaded as they are chosen. */
function Files({ id, onChange }: InputProps) {
  const [files, setFiles] = useState<StoredFile[]>([]);
  const set = (next: StoredFile[]) => {
    setFiles(next);
    onChange(next.length > 0 ? next.map((file) => file.id) : undefined);
  };
  return <div id={id}><AttachmentInput files={files} onChange={set} /></div>;
}

function isAmount({ properties = {} }: Schema): boolean {
  return "amountMinor" in properties && "currencyCode" in properties;
}

/** An amount in a user's notation, and its currency. */
function Amount({ id, describedBy, required, path, value, problems, onChange }: InputProps) {
  const t = useText();
  const name = useName();
  const known = isMoney(value) ? value : { amountMinor: "", currencyCode: "" };
  const [text, setText] = useState(known.amountMinor && major(known.amountMinor, known.currencyCode));
  const [currency, setCurrency] = useState(known.currencyCode);
  const isWrong = text !== "" && minor(text, currency) === undefined;
  const set = (nextText: string, nextCurrency: string) => {
    setText(nextText);
    setCurrency(nextCurrency);
    const isEmpty = nextText === "" && nextCurrency === "";
    onChange(isEmpty ? undefined : { amountMinor: minor(nextText, nextCurrency), currencyCode: nextCurrency });
  };
  const judge = (input: HTMLInputElement | null) => input?.setCustomValidity(isWrong ? t("This is not an amount of the currency.") : "");
  const problem = problems[`${path}.amountMinor`] ?? problems[`${path}.currencyCode`];
  return (
    <div id={id} className="amount">
      <label>
        <span>{name("amount")}</span>
        <input ref={judge} required={required} aria-describedby={describedBy} aria-invalid={isWrong} inputMode="decimal" autoComplete="off" value={text} onChange={(event) => set(event.target.value, currency)} />
      </label>
      <label>
        <span>{t("Currency")}</span>
        <input required={required} autoComplete="off" pattern="[A-Z]{3}" placeholder="EUR" maxLength={3} value={currency} onChange={(event) => set(text, event.target.value.toUpperCase())} />
      </label>
      {problem && <p className="help bad">{problem}</p>}
    </div>
  );
}

/** The fields of a message. One that may be absent is added by a button, because a message may be within itself. */
function Nested({ contract, schema, path, required, value, problems, onChange }: InputProps) {
  const t = useText();
  if (value === undefined && !required) return <button type="button" onClick={() => onChange({})}>{t("Add")}</button>;
  return (
    <div className="group">
      <Group contract={contract} schema={schema} values={(value ?? {}) as Values} problems={problems} path={`${path}.`} onChange={onChange} />
      {!required && <button type="button" onClick={() => onChange(undefined)}>{t("Remove")}</button>}
    </div>
  );
}
