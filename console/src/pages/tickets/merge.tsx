/** Two changes of the same resource: fields that only one side changed are taken from it; the rest is asked. */

import { useState } from "react";

import type { Values } from "../../resource/fields";
import { useName, useText } from "../../text";
import { Problem } from "../../ui/problem";
import { Value } from "../../ui/value";

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

/** The fields in which `to` differs, with its values. */
export function changed(from: Values, to: Values): Values {
  return Object.fromEntries(Object.entries(to).filter(([field, value]) => !same(value, from[field])));
}

type MergeProps = { base: Values; mine: Values; theirs: Values; onMerged: (values: Values) => Promise<unknown>; onCancel: () => void };

export function Merge({ base, mine, theirs, onMerged, onCancel }: MergeProps) {
  const t = useText();
  const name = useName();
  const ours = changed(base, mine);
  const fields = Object.keys({ ...ours, ...changed(base, theirs) });
  const collides = (field: string) => field in ours && !same(theirs[field], base[field]) && !same(theirs[field], mine[field]);
  const [choice, setChoice] = useState<Record<string, "mine" | "theirs">>({});
  const [error, setError] = useState<unknown>();
  const open = fields.filter((field) => collides(field) && !choice[field]);
  const merged = Object.fromEntries(Object.keys(theirs).map((field) => {
    const taken = collides(field) ? choice[field] === "mine" : field in ours;
    return [field, taken ? mine[field] : theirs[field]];
  }));
  return (
    <form className="form" onSubmit={(event) => { event.preventDefault(); onMerged(merged).catch(setError); }}>
      <p>{t("Both changes are below. Choose where they collide; everything else is kept.")}</p>
      {fields.map((field) => collides(field) ? (
        <fieldset key={field}>
          <legend>{name(field)}</legend>
          <div className="versions">
            {(["mine", "theirs"] as const).map((side) => (
              <label key={side}>
                <input type="radio" name={field} checked={choice[field] === side} onChange={() => setChoice({ ...choice, [field]: side })} />
                <span><b>{side === "mine" ? t("Yours") : t("Theirs")}</b><br /><Value value={side === "mine" ? mine[field] : theirs[field]} field={field} /></span>
              </label>
            ))}
          </div>
        </fieldset>
      ) : (
        <p key={field}><b>{name(field)}</b> ({field in ours ? t("Yours") : t("Theirs")}): <Value value={merged[field]} field={field} /></p>
      ))}
      {error !== undefined && <Problem error={error} />}
      <footer>
        <button type="button" onClick={onCancel}>{t("Discard mine")}</button>
        <button type="submit" className="primary" disabled={open.length > 0}>{t("Save both")}</button>
      </footer>
    </form>
  );
}
