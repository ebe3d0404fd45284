/** The keyboard shortcuts of the triage. */

import { useEffect, useState } from "react";

import { useText, type Text } from "../../text";
import { Sheet } from "../../ui/dialog";

const KEYS: readonly [string, Text][] = [
  ["J / K", "Next, previous ticket"],
  ["Home / End", "First, last ticket"],
  ["Enter / O", "Open"],
  ["X", "Select"],
  ["A", "Assign to me"],
  ["E", "Resolve"],
  ["1 – 4", "Priority from low to urgent"],
  ["Ctrl K", "Go to any page"],
];

export function Shortcuts() {
  const t = useText();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
      if (event.key === "?" && !typing) setOpen(true);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return (
    <>
      <button type="button" className="quiet" onClick={() => setOpen(true)}>{t("Shortcuts")} <kbd>?</kbd></button>
      {open && (
        <Sheet title={t("Shortcuts")} onClose={() => setOpen(false)}>
          <dl className="fields">{KEYS.map(([key, text]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{t(text)}</dd></div>)}</dl>
          <p className="help">{t("A, E and 1 – 4 work on a ticket's page, too.")}</p>
        </Sheet>
      )}
    </>
  );
}
