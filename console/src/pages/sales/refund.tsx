/** The form of a refund. Repeated submissions of the same amount refund it once. */

import { useState, type FormEvent } from "react";

import { api, read } from "../../api/client";
import { IdempotencyKeys } from "../../api/idempotency";
import { useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import { useMoney } from "../../ui/format";
import { Problem } from "../../ui/problem";
import { SentBefore } from "../../ui/sent-before";
import { toast } from "../../ui/toast";
import type { Payment } from "./columns";
import { major, minor } from "../../ui/amount";

type RefundProps = { payment: Payment; remaining: string; onClose: () => void; onDone: () => void };

export function RefundSheet({ payment, remaining, onClose, onDone }: RefundProps) {
  const t = useText();
  const money = useMoney();
  const { currencyCode } = payment.amount;
  const [text, setText] = useState(major(remaining, currencyCode));
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [keys] = useState(() => new IdempotencyKeys());
  const amountMinor = minor(text, currencyCode);
  const request = { amountMinor, currencyCode };
  const valid = amountMinor !== undefined && BigInt(amountMinor) > 0n && BigInt(amountMinor) <= BigInt(remaining);
  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (!valid) return;
    const amount = { amountMinor, currencyCode };
    setBusy(true);
    setError(undefined);
    try {
      await keys.send(amount, (key) => {
        const params = { path: { paymentId: payment.id }, header: { "Idempotency-Key": key } };
        return read(api.POST("/api/v1/payments/{paymentId}/refunds", { params, body: { amount } }));
      });
      toast(t("Refunded: {amount}", { amount: money(amount) }));
      onDone();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  /** Refreshes the page when the form closes, so that it shows the refund although the request failed. */
  const close = () => {
    if (error !== undefined) onDone();
    onClose();
  };
  return (
    <Sheet title={t("Refund")} onClose={close}>
      <form className="form" onSubmit={(event) => void send(event)}>
        <label>
          <span>{t("Amount in {currency}", { currency: currencyCode })}</span>
          <input autoFocus inputMode="decimal" value={text} aria-invalid={!valid} onChange={(event) => setText(event.target.value)} />
        </label>
        <p className="help">{t("At most {amount}. It goes back to where it came from.", { amount: money({ amountMinor: remaining, currencyCode }) })}</p>
        {error !== undefined && <Problem error={error}>{!keys.isOtherUnknown(request) && <p>{t("If you send it again, it is still refunded only once.")}</p>}</Problem>}
        <SentBefore keys={keys} request={request} />
        <footer>
          <button type="button" onClick={close}>{t("Cancel")}</button>
          <button type="submit" className="danger" disabled={busy || !valid}>{valid ? t("Refund {amount}", { amount: money({ amountMinor, currencyCode }) }) : t("Refund")}</button>
        </footer>
      </form>
    </Sheet>
  );
}
