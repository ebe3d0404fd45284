/** The configuration in effect, read-only: each value, its source, and its purpose. */

import { useQuery } from "@tanstack/react-query";
import { useId } from "react";

import { api, read, type Schemas } from "../../api/client";
import { DebouncedInput } from "../../resource/filters";
import { useName, useText } from "../../text";
import { None } from "../../ui/format";
import { PageFrame } from "../../ui/page";
import { Table, type Column } from "../../ui/table";
import { ChoiceFilter, FilterBar, useSearchParams } from "../kit";

type Setting = Schemas["Setting"];
const SOURCES = ["SETTING_SOURCE_DEFAULT", "SETTING_SOURCE_ENVIRONMENT", "SETTING_SOURCE_FILE"] as const satisfies readonly Setting["source"][];

export function SettingsPage() {
  const t = useText();
  const name = useName();
  const id = useId();
  const [search, set] = useSearchParams();
  const { data, error, isPending, refetch } = useQuery({
    queryKey: ["settings"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/settings", { signal }))).data.settings,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const words = (search["query"] ?? "").toLowerCase();
  const source = SOURCES.find((one) => one === search["source"]);
  const found = data?.filter((one) => (source === undefined || one.source === source) && `${one.name} ${one.value ?? ""} ${one.meaning}`.toLowerCase().includes(words));
  const value = (one: Setting) => (one.value === undefined ? <None /> : <code className="breaks">{one.value}</code>);
  const columns: Column<Setting>[] = [
    { name: "name", label: name("name"), cell: (one) => <><code className="breaks">{one.name}</code><span className="gist narrow-only">{value(one)} <small>({name(one.source)})</small></span><small className="gist">{one.meaning}</small></> },
    { name: "value", label: t("Value"), wide: true, cell: (one) => <span className="value">{value(one)}</span> },
    { name: "source", label: name("source"), wide: true, cell: (one) => (one.source === "SETTING_SOURCE_DEFAULT" ? <span className="dim">{name(one.source)}</span> : <span className="badge info">{name(one.source)}</span>) },
  ];
  return (
    <PageFrame title={t("Settings")}>
      <p className="lead">{t("The values that the responding server read when it started. They are changed in its environment or its configuration file; secrets are never shown.")}</p>
      <FilterBar>
        <div className="grow"><label htmlFor={id}>{t("Search")}</label><DebouncedInput id={id} value={search["query"] ?? ""} onChange={(query) => set({ query })} /></div>
        <ChoiceFilter name="source" values={SOURCES} />
      </FilterBar>
      <Table label={t("Settings")} columns={columns} query={{ data: found && { data: found }, error, isPending, refetch }} rowKey={(one) => one.name} empty={t("Nothing found.")} />
    </PageFrame>
  );
}
