/** One line of the log, with all its members. */

import { Link } from "@tanstack/react-router";

import { useName, useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import { Badge, Id, None } from "../../ui/format";
import { pretty } from "../webhooks/delivery";
import { Moment, type SystemLog } from "./log";

export function LogLine({ line, onClose }: { line: SystemLog; onClose: () => void }) {
  const t = useText();
  const name = useName();
  return (
    <Sheet title={line.message || t("Line")} wide onClose={onClose}>
      <dl className="fields">
        <div><dt>{t("Time")}</dt><dd><Moment value={line.logTime} /></dd></div>
        <div><dt>{name("level")}</dt><dd><Badge value={line.level} /></dd></div>
        <div><dt>{name("method")}</dt><dd>{line.method ? <code>{line.method}</code> : <None />}</dd></div>
        <div><dt>{t("Request")}</dt><dd>{line.requestId ? <code>{line.requestId}</code> : <None />}</dd></div>
        <div><dt>{t("Caller")}</dt><dd><Id value={line.principalId} field="userId" /></dd></div>
      </dl>
      <pre className="raw" tabIndex={0}>{pretty(line.line)}</pre>
      <footer>
        {line.requestId && <Link className="button" to="/logs" search={{ requestId: line.requestId } as never} onClick={onClose}>{t("All lines of this request")}</Link>}
        <button type="button" className="primary" onClick={onClose}>{t("Close")}</button>
      </footer>
    </Sheet>
  );
}
