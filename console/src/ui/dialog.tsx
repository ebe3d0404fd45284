/** Dialogs: a form, or a confirmation of an irreversible action. */

import { useState, type ReactNode } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";

import { useText } from "../text";
import { Problem } from "./problem";

type SheetProps = { title: string; onClose: () => void; children: ReactNode; wide?: boolean };

export function Sheet({ title, onClose, children, wide = false }: SheetProps) {
  const t = useText();
  return (
    <ModalOverlay className="overlay" isOpen isDismissable onOpenChange={(open) => !open && onClose()}>
      <Modal className={wide ? "sheet wide" : "sheet"}>
        <Dialog>
          <header>
            <Heading slot="title">{title}</Heading>
            <button type="button" className="quiet icon" aria-label={t("Close")} onClick={onClose}>✕</button>
          </header>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

type ConfirmProps = {
  title: string;
  /** The name of the resource that would be lost. */
  children: ReactNode;
  action: string;
  /** The name that must be typed to confirm a permanent deletion. */
  name?: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
};

export function Confirm({ title, children, action, name, onConfirm, onClose }: ConfirmProps) {
  const t = useText();
  const [typed, setTyped] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Sheet title={title} onClose={onClose}>
      <form className="form" onSubmit={(event) => { event.preventDefault(); void confirm(); }}>
        <div>{children}</div>
        {name !== undefined && (
          <label>
            <span>{t("Type {name} to confirm", { name })}</span>
            <input autoFocus value={typed} autoComplete="off" onChange={(event) => setTyped(event.target.value)} />
          </label>
        )}
        {error !== undefined && <Problem error={error} />}
        <footer>
          <button type="button" onClick={onClose}>{t("Cancel")}</button>
          <button type="submit" className="danger" disabled={busy || (name !== undefined && typed.trim() !== name.trim())}>{action}</button>
        </footer>
      </form>
    </Sheet>
  );
}
