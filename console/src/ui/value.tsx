/** Any value of the contract, formatted by its type. */

import { useName, useText } from "../text";
import { Badge, Id, isMoney, Money, None, Time } from "./format";
import { Scopes } from "./scopes";

const TIME = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ENUM = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/;

export function Value({ value, field }: { value: unknown; field: string }) {
  const t = useText();
  if (value === undefined || value === null || value === "") return <None />;
  if (typeof value === "boolean") return <>{value ? t("yes") : t("no")}</>;
  if (typeof value === "number") return <span className="number">{value}</span>;
  if (typeof value === "string") return <Words value={value} field={field} />;
  if (isMoney(value)) return <Money value={value} />;
  if (Array.isArray(value)) return <Items items={value} field={field} />;
  return <Fields value={value as Record<string, unknown>} />;
}

function Words({ value, field }: { value: string; field: string }) {
  if (TIME.test(value)) return <Time value={value} />;
  // The id of the resource itself is needed elsewhere, such as that of an application.
  if (UUID.test(value)) return field === "id" ? <code>{value}</code> : <Id value={value} field={field} />;
  if (ENUM.test(value)) return <Badge value={value} />;
  return <span className="text">{value}</span>;
}

function Items({ items, field }: { items: unknown[]; field: string }) {
  const name = useName();
  if (items.length === 0) return <None />;
  if (items.every((item) => typeof item === "string")) {
    if (field === "scopes") return <Scopes scopes={items} />;
    return <span className="tags">{items.map((item) => <span className="tag" key={item}>{ENUM.test(item) ? name(item) : item}</span>)}</span>;
  }
  return <ol className="items">{items.map((item, index) => <li key={index}><Value value={item} field={field} /></li>)}</ol>;
}

/** The fields of a resource, in the order of the contract. */
export function Fields({ value, without = [] }: { value: Record<string, unknown>; without?: readonly string[] }) {
  const name = useName();
  return (
    <dl className="fields">
      {Object.entries(value).filter(([field]) => !without.includes(field)).map(([field, inner]) => (
        <div key={field}>
          <dt>{name(field)}</dt>
          <dd><Value value={inner} field={field} /></dd>
        </div>
      ))}
    </dl>
  );
}
