/** The tiles that modules declare: numbers beside the console's own, and lists of numbers as bars. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useText, type Text } from "../../text";
import { useLocale, useMoney } from "../../ui/format";
import { Card } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Bars } from "./bars";
import { Tile } from "./tile";

const REFRESH_MS = 30_000;

type Declared = Schemas["Tile"];

export function useDeclaredTiles(isEnabled: boolean) {
  return useQuery({
    enabled: isEnabled,
    queryKey: ["dashboard", "tiles"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/tiles", { signal }))).data.tiles,
    refetchInterval: REFRESH_MS,
  });
}

type Query = ReturnType<typeof useDeclaredTiles>;

/** Splits a link into the path and the query, as the router takes them. */
function target(link: string): { to: string; search: Record<string, string> } {
  const [to = "/", query] = link.split("?");
  return { to, search: Object.fromEntries(new URLSearchParams(query)) };
}

/** Shows the tiles with one number, also the unavailable tiles. */
export function DeclaredNumbers({ query: { data, error, isLoading } }: { query: Query }) {
  const t = useText();
  const locale = useLocale();
  const money = useMoney();
  const shown = ({ number, numberIsLowerBound, money: sum, rate }: Declared) => {
    if (sum) return money(sum);
    if (rate !== undefined) return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 }).format(Number(rate));
    return `${Number(number).toLocaleString(locale)}${numberIsLowerBound ? "+" : ""}`;
  };
  // One place is kept for the first of them.
  if (isLoading || (error && !data)) return <Tile label={t("Key figures")} count={{ data: undefined, error }} />;
  return data?.filter((tile) => !tile.rows).map((tile) => {
    const value = tile.failure === undefined ? { value: Number(tile.number ?? 0), more: false } : undefined;
    return <Tile key={tile.name} label={t(tile.title as Text)} count={{ data: value, error: tile.failure }} shown={value && shown(tile)} alarming={tile.alarming}
      {...(tile.link !== undefined && target(tile.link))} />;
  });
}

/** Shows the tiles with rows. */
export function DeclaredRows({ query: { data, error, refetch } }: { query: Query }) {
  const t = useText();
  return (
    <>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {data?.filter((tile) => tile.rows).map((tile) => (
        <Card key={tile.name} title={t(tile.title as Text)} actions={tile.link !== undefined && <Link to={target(tile.link).to} search={target(tile.link).search as never}>{t("All")}</Link>}>
          <Bars rows={(tile.rows?.rows ?? []).map(({ label, number }) => ({ name: label, value: Number(number) }))} />
        </Card>
      ))}
    </>
  );
}
