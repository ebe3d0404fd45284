/** Inserts canned answers, with the values of the ticket in place of their placeholders. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, read, readAll } from "../../api/client";
import { useText } from "../../text";
import { Problem } from "../../ui/problem";

export function AnswerPicker({ ticketId, onText }: { ticketId: string; onText: (text: string) => void }) {
  const t = useText();
  const [error, setError] = useState<unknown>();
  const { data } = useQuery({
    queryKey: ["canned-answers"],
    queryFn: ({ signal }) => readAll((pageToken) => {
      const query = { pageSize: 100, pageToken, readMask: "id,name" };
      return read(api.GET("/api/v1/canned-answers", { params: { query }, signal }));
    }),
    staleTime: 60_000,
  });
  const insert = async (cannedAnswerId: string) => {
    setError(undefined);
    const params = { path: { cannedAnswerId }, query: { ticketId } };
    const { data } = await read(api.GET("/api/v1/canned-answers/{cannedAnswerId}/render", { params }));
    onText(data.body);
  };
  const answers = [...(data ?? [])].sort((one, other) => one.name.localeCompare(other.name));
  return (
    <div className="answers">
      {answers.length > 0 && (
        <select aria-label={t("Canned answers")} value="" onChange={(event) => void insert(event.target.value).catch(setError)}>
          <option value="" disabled>{t("Insert a canned answer …")}</option>
          {answers.map((answer) => <option key={answer.id} value={answer.id}>{answer.name}</option>)}
        </select>
      )}
      <Link to="/s/$service" params={{ service: "CannedAnswerService" }}>{t("Edit canned answers")}</Link>
      {error !== undefined && <Problem error={error} />}
    </div>
  );
}
