/** A dialog with a form. Repeated submissions of the same request take effect once. */

import { useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent, type ReactNode } from "react";

import { IdempotencyKeys } from "../api/idempotency";
import { useText } from "../text";
import { Sheet } from "./dialog";
import { Problem } from "./problem";
import { SentBefore } from "./sent-before";
import { toast } from "./toast";

type FormSheetProps = {
  title: string;
  action: string;
  /** What the form would send now. */
  request: unknown;
  valid?: boolean;
  danger?: boolean;
  wide?: boolean;
  onSubmit: (key: string) => Promise<unknown>;
  onClose: () => void;
  children: ReactNode;
};

export function FormSheet({ title, action, request, valid = true, danger = false, wide = false, onSubmit, onClose, children }: FormSheetProps) {
  const t = useText();
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [keys] = useState(() => new IdempotencyKeys());
  /** Refreshes the page when the dialog closes, so that it shows the effect of a request that failed. */
  const close = () => {
    if (error !== undefined) void client.invalidateQueries();
    onClose();
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await keys.send(request, onSubmit);
      toast(t("Done: {what}", { what: title }));
      void client.invalidateQueries();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Sheet title={title} onClose={close} wide={wide}>
      <form className="form" onSubmit={(event) => void submit(event)}>
        {children}
        {error !== undefined && <Problem error={error} />}
        <SentBefore keys={keys} request={request} />
        <footer>
          <button type="button" onClick={close}>{t("Cancel")}</button>
          <button type="submit" className={danger ? "danger" : "primary"} disabled={busy || !valid}>{action}</button>
        </footer>
      </form>
    </Sheet>
  );
}
