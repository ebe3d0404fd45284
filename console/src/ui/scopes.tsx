/** Scopes by their titles, with their names beside. */

import { useContract } from "../api/contract";
import { useName, useScope } from "../text";

/** Groups scopes by their first word, the module. */
export function byModule(scopes: readonly string[]): [string, string[]][] {
  const modules = new Map<string, string[]>();
  for (const scope of scopes) {
    const module = scope.split(".")[0] ?? scope;
    modules.set(module, [...(modules.get(module) ?? []), scope]);
  }
  return [...modules];
}

/** Checkboxes of scopes, by module. */
export function ScopeChecks({ id, offered, chosen, onChange }: { id?: string; offered: readonly string[]; chosen: readonly string[]; onChange: (scopes: string[]) => void }) {
  const name = useName();
  const scope = useScope();
  const { data: contract } = useContract();
  const toggle = (one: string) => onChange(chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one]);
  return (
    <div id={id} className="scopes">
      {byModule(offered).map(([module, scopes]) => (
        <fieldset key={module}>
          <legend>{name(module)}</legend>
          {scopes.map((one) => (
            <label key={one} className="check">
              <input type="checkbox" checked={chosen.includes(one)} onChange={() => toggle(one)} />
              <span>{scope(one, contract?.scopes)}<br /><small><code>{one}</code></small></span>
            </label>
          ))}
        </fieldset>
      ))}
    </div>
  );
}

/** The scopes of a resource. */
export function Scopes({ scopes }: { scopes: readonly string[] }) {
  const scope = useScope();
  const { data: contract } = useContract();
  return <span className="tags">{scopes.map((one) => <span className="tag" key={one} title={one}>{scope(one, contract?.scopes)}</span>)}</span>;
}
