/** Adding an authenticator app: the secret as a QR code and as a text, a first code, and the recovery codes. */

import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

import { api, read } from "../../api/client";
import { useText } from "../../text";
import { AppCode } from "../../ui/code-field";
import { Problem } from "../../ui/problem";
import { toast } from "../../ui/toast";

export function Enroll({ onDone }: { onDone: () => void }) {
  const t = useText();
  const [codes, setCodes] = useState<readonly string[]>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const { data: secret, error: failure } = useQuery({
    queryKey: ["totp-secret"],
    queryFn: async () => (await read(api.POST("/api/v1/auth/totp"))).data,
    // Each request makes another secret.
    staleTime: Infinity,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  if (codes) return <RecoveryCodes codes={codes} onDone={onDone} />;
  if (failure) return <Problem error={failure} />;
  if (!secret) return <div aria-busy="true" />;
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const code = String(new FormData(event.currentTarget).get("code")).replaceAll(" ", "");
    setBusy(true);
    setError(undefined);
    try {
      setCodes((await read(api.POST("/api/v1/auth/totp/confirm", { body: { code } }))).data.recoveryCodes);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <p>{t("Scan this code with an authenticator app, or type the secret into it.")}</p>
      <QrCode text={secret.uri} />
      <p><code className="secret">{secret.secret}</code></p>
      <label><span>{t("Code that the app shows")}</span><AppCode autoFocus /></label>
      {error !== undefined && <Problem error={error} />}
      <footer><button type="submit" className="primary" disabled={busy}>{t("Add")}</button></footer>
    </form>
  );
}

/** Drawn as one path, dark on light in both themes, because cameras expect it. */
function QrCode({ text }: { text: string }) {
  const t = useText();
  const { data: rows } = useQuery({ queryKey: ["qr", text], queryFn: async () => (await import("uqr")).encode(text, { border: 4 }).data, gcTime: 0 });
  if (!rows) return <div className="qr" aria-busy="true" />;
  const path = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <svg className="qr" role="img" aria-label={t("QR code of the secret")} viewBox={`0 0 ${rows.length} ${rows.length}`} shapeRendering="crispEdges">
      <rect width="100%" height="100%" fill="#fff" /><path d={path} fill="#000" />
    </svg>
  );
}

/** The recovery codes, which are shown once. */
export function RecoveryCodes({ codes, onDone }: { codes: readonly string[]; onDone: () => void }) {
  const t = useText();
  const copy = () => void navigator.clipboard.writeText(codes.join("\n")).then(() => toast(t("Copied")));
  return (
    <div className="form">
      <p><strong>{t("Keep these recovery codes in a safe place. They are shown once.")}</strong></p>
      <p>{t("Each replaces one code of the app, if you lose it.")}</p>
      <ul className="codes" aria-label={t("Recovery codes")}>{codes.map((code) => <li key={code}><code>{code}</code></li>)}</ul>
      <footer>
        <button type="button" onClick={copy}>{t("Copy")}</button>
        <button type="button" className="primary" onClick={onDone}>{t("Saved")}</button>
      </footer>
    </div>
  );
}
