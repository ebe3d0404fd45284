/** The inputs with choices on a ticket's page. */

import { useName, useText } from "../../text";
import { short } from "../../ui/format";
import { Problem } from "../../ui/problem";
import { PRIORITIES, type Priority } from "./api";
import { useAgents } from "./people";

export function PriorityChoice({ value, onChange }: { value: Priority; onChange: (value: Priority) => void }) {
  const name = useName();
  const choose = (text: string) => {
    const priority = PRIORITIES.find((one) => one === text);
    if (priority) onChange(priority);
  };
  return (
    <select aria-label={name("priority")} value={value} onChange={(event) => choose(event.target.value)}>
      {PRIORITIES.map((one) => <option key={one} value={one}>{name(one)}</option>)}
    </select>
  );
}

export function Assignee({ value, disabled, onChange }: { value: string | undefined; disabled: boolean; onChange: (value: string | undefined) => void }) {
  const t = useText();
  const name = useName();
  const { data: agents = [], error, refetch } = useAgents();
  const known = value === undefined || agents.some((agent) => agent.id === value);
  return (
    <>
      <select aria-label={name("assignee")} disabled={disabled} value={value ?? ""} onChange={(event) => onChange(event.target.value || undefined)}>
        <option value="">{t("Unassigned")}</option>
        {!known && <option value={value}>{short(value)}</option>}
        {agents.map((agent) => <option key={agent.id} value={agent.id}>{agent.name}</option>)}
      </select>
      {error && agents.length === 0 && <Problem error={error} onRetry={() => void refetch()} />}
    </>
  );
}
