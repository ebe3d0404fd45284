/** Shows why a change of a ticket failed, and the resolutions of a conflict. */

import { useQueryClient } from "@tanstack/react-query";

import { api, read } from "../../api/client";
import { asApiError } from "../../api/errors";
import { useText } from "../../text";
import { Problem } from "../../ui/problem";
import { ticketKey, type Change, type Ticket } from "./api";

type ConflictProps = { error: unknown; change: Change; id: string; onClose: () => void; onRetry: () => void; onApply: (latest: Ticket) => void };

export async function fetchLatest(id: string): Promise<Ticket> {
  return (await read(api.GET("/api/v1/tickets/{ticketId}", { params: { path: { ticketId: id } } }))).data;
}

export function Conflict({ error, id, onClose, onRetry, onApply }: ConflictProps) {
  const t = useText();
  const client = useQueryClient();
  const load = async () => {
    const latest = await fetchLatest(id);
    client.setQueryData(ticketKey(id), latest);
    onClose();
    return latest;
  };
  const isConflict = [409, 412].includes(asApiError(error).status);
  return (
    <Problem error={error} {...(!isConflict && { onRetry })}>
      {isConflict && (
        <p className="actions">
          <button type="button" onClick={() => void load()}>{t("Load the latest version")}</button>
          <button type="button" onClick={() => void load().then(onApply)}>{t("Apply mine to it")}</button>
        </p>
      )}
    </Problem>
  );
}
