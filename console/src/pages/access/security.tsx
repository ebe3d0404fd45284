/** The sign-in of the user: the second factor with its recovery codes. */

import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, read, type Schemas } from "../../api/client";
import { refresh } from "../../api/session";
import { useSecondFactor } from "../../shell/step-up";
import { useText } from "../../text";
import { Confirm, Sheet } from "../../ui/dialog";
import { Time } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { ProblemPage } from "../../ui/problem";
import { Action } from "../kit";
import { Enroll, RecoveryCodes } from "./enroll";

export function SecurityPage() {
  const t = useText();
  const { data: factor, error, refetch } = useSecondFactor();
  if (error && !factor) return <ProblemPage error={error} above={null} onRetry={() => void refetch()} />;
  if (!factor) return <PageFrame title={t("Sign-in and security")}><Skeleton /></PageFrame>;
  return (
    <PageFrame title={t("Sign-in and security")} actions={<Action id="AuthService_ChangePassword" label={t("Change password")} />}>
      <Card title={t("Second factor")} actions={<Link to="/sessions">{t("Sessions")}</Link>}>
        {factor.createTime === undefined ? <WithoutFactor /> : <WithFactor factor={factor} />}
      </Card>
    </PageFrame>
  );
}

function WithoutFactor() {
  const t = useText();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const done = () => {
    setOpen(false);
    // The session's next access token says that it has the factor.
    void refresh().then(() => client.invalidateQueries());
  };
  return (
    <>
      <p>{t("A sign-in needs your password only. With an authenticator app, a stolen password is not enough.")}</p>
      <p><button type="button" className="primary" onClick={() => setOpen(true)}>{t("Add an authenticator app")}</button></p>
      {open && <Sheet title={t("Add an authenticator app")} onClose={done}><Enroll onDone={done} /></Sheet>}
    </>
  );
}

function WithFactor({ factor }: { factor: Schemas["SecondFactor"] }) {
  const t = useText();
  const client = useQueryClient();
  const [open, setOpen] = useState<"codes" | "remove">();
  const [codes, setCodes] = useState<readonly string[]>();
  const close = () => {
    setOpen(undefined);
    setCodes(undefined);
    void client.invalidateQueries();
  };
  const renew = async () => setCodes((await read(api.POST("/api/v1/auth/recovery-codes"))).data.recoveryCodes);
  const remove = () => read(api.DELETE("/api/v1/auth/totp"));
  return (
    <>
      <p>{t("Each sign-in needs a code of your authenticator app.")} {t("Added")} <Time value={factor.createTime} />.</p>
      <p>{t("Recovery codes left: {count}", { count: factor.recoveryCodesLeft })}</p>
      {factor.resetTime !== undefined && <p className="notice" role="status">{t("An admin has reset the second factor. It will be removed:")} <Time value={factor.resetTime} /></p>}
      <p>
        <button type="button" onClick={() => setOpen("codes")}>{t("New recovery codes")}</button>{" "}
        <button type="button" className="danger" onClick={() => setOpen("remove")}>{t("Remove")}</button>
      </p>
      {open === "codes" && !codes && (
        <Confirm title={t("New recovery codes")} action={t("Replace")} onConfirm={renew} onClose={() => setOpen(undefined)}><p>{t("The codes from before are no longer valid.")}</p></Confirm>
      )}
      {codes && <Sheet title={t("New recovery codes")} onClose={close}><RecoveryCodes codes={codes} onDone={close} /></Sheet>}
      {open === "remove" && (
        <Confirm title={t("Remove the second factor")} action={t("Remove")} onConfirm={remove} onClose={close}><p>{t("From then on, a sign-in needs your password only.")}</p></Confirm>
      )}
    </>
  );
}
