/** Merges a ticket into another one, and shows that it was. */

import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import type { Ticket } from "./api";
import { TicketPicker } from "./pick";

export function Merge({ ticket, onMerge }: { ticket: Ticket; onMerge: (targetId: string) => void }) {
  const t = useText();
  const [isOpen, setIsOpen] = useState(false);
  const [targetId, setTargetId] = useState("");
  const merge = () => {
    onMerge(targetId);
    setIsOpen(false);
  };
  return (
    <>
      <button type="button" onClick={() => setIsOpen(true)}>{t("Merge …")}</button>
      {isOpen && (
        <Sheet title={t("Merge into another ticket")} onClose={() => setIsOpen(false)}>
          <form className="form" onSubmit={(event) => { event.preventDefault(); merge(); }}>
            <p>{t("This ticket is resolved for good and points to the other one. Its comments stay readable.")}</p>
            <TicketPicker ticket={ticket} value={targetId} onChange={setTargetId} />
            <footer>
              <button type="button" onClick={() => setIsOpen(false)}>{t("Cancel")}</button>
              <button type="submit" className="danger" disabled={targetId === ""}>{t("Merge")}</button>
            </footer>
          </form>
        </Sheet>
      )}
    </>
  );
}

export function MergedNotice({ targetId }: { targetId: string }) {
  const t = useText();
  return <p className="notice">{t("This ticket was merged into another one.")} <Link to="/tickets/$id" params={{ id: targetId }}>{t("Go to that ticket")}</Link></p>;
}
