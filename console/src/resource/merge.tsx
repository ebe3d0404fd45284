/**
 * A three-way merge of two changes of the same resource: fields that only one side changed are taken from it; the user
 * decides about the others.
 */

import { useState } from "react";

import { useName, useText } from "../text";
import { Sheet } from "../ui/dialog";
import { Problem } from "../ui/problem";
import { Value } from "../ui/value";
import type { Values } from "./fields";

export const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

/** Returns the fields in which `to` differs, with its values. */
export function changed(from: Values, to: Values): Values {
  return Object.fromEntries(Object.entries(to).filter(([field, value]) => !same(value, from[field])));
}

type MergeProps = {
  /** The common base of both changes. */
  base: Values;
  mine: Values;
  theirs: Values;
  onMerged: (values: Values) => Promise<unknown>;
  onDiscard: () => void;
};

/** The dialog; its key is the other side's version, because the user's choices are valid for that version only. */
export function MergeSheet({ onClose, ...merge }: MergeProps & { onClose: () => void }) {
  const t = useText();
  return <Sheet title={t("Somebody else changed this first")} onClose={onClose} wide><Merge {...merge} /></Sheet>;
}

function Merge({ base, mine, theirs, onMerged, onDiscard }: MergeProps) {
  const t = useText();
  const name = useName();
  const ours = changed(base, mine);
  const fields = Object.keys({ ...ours, ...changed(base, theirs) });
  const collides = (field: string) => field in ours && !same(theirs[field], base[field]) && !same(theirs[field], mine[field]);
  const [choice, setChoice] = useState<Record<string, "mine" | "theirs">>({});
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const open = fields.filter((field) => collides(field) && !choice[field]);
  const merged = Object.fromEntries(Object.keys(theirs).map((field) => {
    const taken = collides(field) ? choice[field] === "mine" : field in ours;
    return [field, taken ? mine[field] : theirs[field]];
  }));
  const save = () => {
    setBusy(true);
    onMerged(merged).catch(setError).finally(() => setBusy(false));
  };
  return (
    <form className="form" onSubmit={(event) => { event.preventDefault(); save(); }}>
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
        <button type="button" onClick={onDiscard}>{t("Discard mine")}</button>
        <button type="submit" className="primary" disabled={busy || open.length > 0}>{t("Save both")}</button>
      </footer>
    </form>
  );
}
