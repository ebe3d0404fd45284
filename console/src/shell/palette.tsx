/** The command palette: finds any page by a few letters of its name, and any ticket by its id or words. */

import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Autocomplete, Dialog, Input, ListBox, ListBoxItem, Modal, ModalOverlay, SearchField, useFilter } from "react-aria-components";

import { useText } from "../text";
import { usePlaces } from "./places";
import { useMay } from "./user";

type Command = { id: string; title: string; hint: string; to: string; search?: Record<string, string> };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export default function Palette({ onClose }: { onClose: () => void }) {
  const t = useText();
  const navigate = useNavigate();
  const may = useMay();
  const { contains } = useFilter({ sensitivity: "base" });
  const [text, setText] = useState("");
  const places: Command[] = usePlaces().flatMap(({ title, places }) => places.map((place) => ({ id: place.to, title: place.title, hint: title, to: place.to })));
  const found = [...places.filter((place) => contains(`${place.title} ${place.hint}`, text)), ...(may("TicketService_ListTickets") ? searches(text.trim(), t("Tickets with “{text}”", { text }), t("Ticket {text}", { text })) : [])];
  const go = (id: string) => {
    const command = found.find((one) => one.id === id);
    if (command) void navigate({ to: command.to, search: (command.search ?? {}) as never });
    onClose();
  };
  return (
    <ModalOverlay className="overlay top" isOpen isDismissable onOpenChange={(open) => !open && onClose()}>
      <Modal className="sheet palette">
        <Dialog aria-label={t("Go to …")}>
          <Autocomplete inputValue={text} onInputChange={setText}>
            <SearchField autoFocus aria-label={t("Go to …")}><Input placeholder={t("Page, ticket id or words")} /></SearchField>
            {/* The keyboard reaches what scrolls; the list keeps the focus in the field. */}
            <div className="results" role="group" aria-label={t("Results")} tabIndex={0}>
              <ListBox items={found} aria-label={t("Results")} selectionMode="none" onAction={(key) => go(String(key))} renderEmptyState={() => <p className="empty">{t("Nothing found.")}</p>}>
                {(command) => <ListBoxItem id={command.id} textValue={command.title}><span>{command.title}</span> <small>{command.hint}</small></ListBoxItem>}
              </ListBox>
            </div>
          </Autocomplete>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

function searches(text: string, words: string, ticket: string): Command[] {
  if (UUID.test(text)) return [{ id: "ticket", title: ticket, hint: "", to: `/tickets/${text.toLowerCase()}` }];
  if (text.length < 2) return [];
  return [{ id: "words", title: words, hint: "", to: "/tickets", search: { query: text } }];
}
