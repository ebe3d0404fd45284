/** Chooses another ticket of the same account. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useId, useState } from "react";

import { api, read } from "../../api/client";
import { useName, useText } from "../../text";
import { Problem } from "../../ui/problem";
import type { Ticket } from "./api";

/** The most tickets to choose from; the search narrows them down. */
const MAX_FOUND = 20;

export function TicketPicker({ ticket, value, onChange }: { ticket: Ticket; value: string; onChange: (id: string) => void }) {
  const t = useText();
  const name = useName();
  const id = useId();
  const [words, setWords] = useState("");
  const query = useDeferredValue(words);
  const { data, error, refetch } = useQuery({
    queryKey: ["other-tickets", ticket.accountId, query],
    queryFn: ({ signal }) => {
      const filter = { accountId: ticket.accountId, query, pageSize: MAX_FOUND, readMask: "id,subject,status,mergedIntoId" };
      return read(api.GET("/api/v1/tickets", { params: { query: filter }, signal }));
    },
    placeholderData: keepPreviousData,
  });
  const found = data?.data.filter((one) => one.id !== ticket.id && !one.mergedIntoId) ?? [];
  return (
    <>
      <label htmlFor={`${id}-words`}>{t("Search the tickets of this customer")}</label>
      <input id={`${id}-words`} type="search" maxLength={200} value={words} onChange={(event) => setWords(event.target.value)} />
      <label htmlFor={id}>{t("Other ticket")}</label>
      <select id={id} required value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{found.length > 0 ? t("Choose …") : t("No other ticket of this customer was found. Search for other words.")}</option>
        {found.map((one) => <option key={one.id} value={one.id}>{`${one.subject} · ${name(one.status)}`}</option>)}
      </select>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
    </>
  );
}
