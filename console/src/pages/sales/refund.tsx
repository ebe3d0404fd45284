/** The form of a refund. However often it is sent, money goes back once: its key stays the same until the amount changes. */

import { useRef, useState, type FormEvent } from "react";

import { api, newKey, read } from "../../api/client";
import { useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import { useMoney } from "../../ui/format";
import { Problem } from "../../ui/problem";
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
  const sent = useRef({ amountMinor: "", key: "" });
  const amountMinor = minor(text, currencyCode);
  const valid = amountMinor !== undefined && BigInt(amountMinor) > 0n && BigInt(amountMinor) <= BigInt(remaining);
  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (!valid) return;
    if (sent.current.amountMinor !== amountMinor) sent.current = { amountMinor, key: newKey() };
    setBusy(true);
    setError(undefined);
    try {
      const params = { path: { paymentId: payment.id }, header: { "Idempotency-Key": sent.current.key } };
      await read(api.POST("/api/v1/payments/{paymentId}/refunds", { params, body: { amount: { amountMinor, currencyCode } } }));
      toast(t("Refunded: {amount}", { amount: money({ amountMinor, currencyCode }) }));
      onDone();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Sheet title={t("Refund")} onClose={onClose}>
      <form className="form" onSubmit={(event) => void send(event)}>
        <label>
          <span>{t("Amount in {currency}", { currency: currencyCode })}</span>
          <input autoFocus inputMode="decimal" value={text} aria-invalid={!valid} onChange={(event) => setText(event.target.value)} />
        </label>
        <p className="help">{t("At most {amount}. It goes back to where it came from.", { amount: money({ amountMinor: remaining, currencyCode }) })}</p>
        {error !== undefined && <Problem error={error}><p>{t("If you send it again, it is still refunded only once.")}</p></Problem>}
        <footer>
          <button type="button" onClick={onClose}>{t("Cancel")}</button>
          <button type="submit" className="danger" disabled={busy || !valid}>{valid ? t("Refund {amount}", { amount: money({ amountMinor, currencyCode }) }) : t("Refund")}</button>
        </footer>
      </form>
    </Sheet>
  );
}
