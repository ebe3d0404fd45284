/**
 * The form for a ticket. After a concurrent change, both changes are merged, and the user decides only about the
 * conflicting fields.
 */

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { asApiError } from "../../api/errors";
import { useContract, type Contract, type Schema } from "../../api/contract";
import { type Values } from "../../resource/fields";
import { SchemaForm } from "../../resource/form";
import { changed, MergeSheet } from "../../resource/merge";
import { useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import { Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { toast } from "../../ui/toast";
import { ticketKey, useChange, type Ticket, type TicketPatch } from "./api";
import { fetchLatest } from "./conflict";

const FIELDS = ["subject", "body", "kind", "priority", "queue", "language", "tags"] as const;

function editable(ticket: Ticket): Values {
  return Object.fromEntries(FIELDS.map((field) => [field, ticket[field]]));
}

/** Returns the fields of the form. Files are edited elsewhere on the page. */
function formOf(contract: Contract): Schema | undefined {
  const body = contract.services.flatMap((service) => service.operations).find((one) => one.id === "TicketService_UpdateTicket")?.body;
  const { attachmentIds: _, ...properties } = body?.properties ?? {};
  return body && { ...body, properties };
}

export function EditTicket({ ticket, onClose }: { ticket: Ticket; onClose: () => void }) {
  const t = useText();
  const client = useQueryClient();
  const { mutateAsync } = useChange();
  const { data: contract, error, refetch } = useContract();
  const [base] = useState(ticket);
  const [conflict, setConflict] = useState<{ base: Ticket; mine: Values; latest: Ticket }>();
  const save = async (values: Values, version: Ticket) => {
    const patch = changed(editable(version), values) as TicketPatch;
    if (Object.keys(patch).length > 0) {
      try {
        await mutateAsync({ ticket: version, change: { kind: "patch", patch } });
      } catch (error) {
        if (asApiError(error).status !== 412) throw error;
        const latest = await fetchLatest(version.id);
        client.setQueryData(ticketKey(version.id), latest);
        setConflict({ base: version, mine: values, latest });
        return;
      }
      toast(t("Saved"));
    }
    onClose();
  };
  const schema = contract && formOf(contract);
  if (conflict) {
    const { mine, latest } = conflict;
    return <MergeSheet key={latest.version} base={editable(conflict.base)} mine={mine} theirs={editable(latest)} onMerged={(values) => save(values, latest)} onDiscard={onClose} onClose={onClose} />;
  }
  return (
    <Sheet title={t("Edit the ticket")} onClose={onClose} wide>
      {contract && schema
        ? <SchemaForm contract={contract} schema={schema} initial={editable(base)} submit={t("Save")} onSubmit={(values) => save(values, base)} onCancel={onClose} />
        : error ? <Problem error={error} onRetry={() => void refetch()} /> : <Skeleton />}
    </Sheet>
  );
}
