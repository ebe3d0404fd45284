/** The sign-in of the user: the second factors with their recovery codes, and the sign-in providers. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, read, type Schemas } from "../../api/client";
import { ApiError } from "../../api/errors";
import { arrival, linkIdentity, refresh } from "../../api/session";
import { stepUp } from "../../api/step-up";
import ArrivalProblem from "../../shell/arrival-problem";
import { useSecondFactor } from "../../shell/step-up";
import { useText } from "../../text";
import { Confirm, Sheet } from "../../ui/dialog";
import { Time } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem, ProblemPage } from "../../ui/problem";
import { Action } from "../kit";
import { Enroll, RecoveryCodes } from "./enroll";
import { Passkeys } from "./passkeys";

export function SecurityPage() {
  const t = useText();
  const { data: factor, error, refetch } = useSecondFactor();
  if (error && !factor) return <ProblemPage error={error} above={null} onRetry={() => void refetch()} />;
  if (!factor) return <PageFrame title={t("Sign-in and security")}><Skeleton /></PageFrame>;
  return (
    <PageFrame title={t("Sign-in and security")} actions={<Action id="AuthService_ChangePassword" label={t("Change password")} />}>
      <Card title={t("Second factor")} actions={<Link to="/sessions">{t("Sessions")}</Link>}>
        {factor.createTime !== undefined && <Recovery factor={factor} />}
        {factor.totp ? <WithApp factor={factor} /> : <WithoutApp factor={factor} />}
        {factor.createTime !== undefined && <RememberedDevices />}
      </Card>
      <Passkeys />
      <Identities />
    </PageFrame>
  );
}

/** The identities at providers with which the user signs in. */
function Identities() {
  const t = useText();
  const [failure, setFailure] = useState<unknown>();
  const providers = useQuery({ queryKey: ["providers"], queryFn: ({ signal }) => read(api.GET("/api/v1/auth/providers", { signal })) });
  const identities = useQuery({ queryKey: ["identities"], queryFn: ({ signal }) => read(api.GET("/api/v1/linked-identities", { signal })) });
  const link = async (name: string) => {
    try {
      await linkIdentity(name).catch(async (error: unknown) => {
        if (!(error instanceof ApiError && error.code === "REAUTHENTICATION_REQUIRED")) throw error;
        await stepUp(error);
        await linkIdentity(name);
      });
    } catch (error) {
      setFailure(error);
    }
  };
  const offered = providers.data?.data ?? [];
  const linked = identities.data?.data ?? [];
  if (offered.length === 0 && linked.length === 0) return null;
  return (
    <Card title={t("Sign-in providers")}>
      {arrival.outcome === "linked" && <p className="notice" role="status">{t("The identity is linked.")}</p>}
      {arrival.error !== undefined && <ArrivalProblem reason={arrival.error} />}
      <ul className="items">
        {linked.map((identity) => (
          <li key={identity.id}>
            {identity.provider ?? identity.issuer} <small>{identity.email}</small> <Time value={identity.createTime} />{" "}
            <Action id="LinkedIdentityService_DeleteLinkedIdentity" label={t("Unlink")} values={{ linkedIdentityId: identity.id }} name={identity.email ?? identity.issuer} onDone={() => void identities.refetch()} />
          </li>
        ))}
      </ul>
      <p>{offered.map(({ name, label }) => <button key={name} type="button" onClick={() => void link(name)}>{t("Link {provider}", { provider: label })}</button>)}</p>
      {failure !== undefined && <Problem error={failure} />}
    </Card>
  );
}

function WithoutApp({ factor }: { factor: Schemas["SecondFactor"] }) {
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
      {factor.createTime === undefined && <p>{t("A sign-in needs your password only. With an authenticator app, a stolen password is not enough.")}</p>}
      <p><button type="button" className="primary" onClick={() => setOpen(true)}>{t("Add an authenticator app")}</button></p>
      {open && <Sheet title={t("Add an authenticator app")} onClose={done}><Enroll onDone={done} /></Sheet>}
    </>
  );
}

function WithApp({ factor }: { factor: Schemas["SecondFactor"] }) {
  const t = useText();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const remove = () => read(api.DELETE("/api/v1/auth/totp"));
  const close = () => {
    setOpen(false);
    void client.invalidateQueries();
  };
  return (
    <>
      <p>{t("Each sign-in with the password needs a code of your authenticator app.")} <button type="button" className="danger" onClick={() => setOpen(true)}>{t("Remove")}</button></p>
      {open && (
        <Confirm title={t("Remove the authenticator app")} action={t("Remove")} onConfirm={remove} onClose={close}><p>{factor.passkeys > 0 ? t("Your passkeys stay.") : t("From then on, a sign-in needs your password only.")}</p></Confirm>
      )}
    </>
  );
}

/** The devices on which a sign-in needs no second factor. */
function RememberedDevices() {
  const t = useText();
  const devices = useQuery({ queryKey: ["remembered-devices"], queryFn: async ({ signal }) => (await read(api.GET("/api/v1/auth/remembered-devices", { signal }))).data });
  if (!devices.data?.length) return null;
  return (
    <>
      <p>{t("A sign-in on these devices needs no second factor:")}</p>
      <ul className="items">
        {devices.data.map((device) => (
          <li key={device.id}>
            {device.userAgent} <small>{device.ipAddress}</small> <Time value={device.createTime} />{" "}
            <Action id="SecondFactorService_ForgetRememberedDevice" label={t("Forget")} values={{ deviceId: device.id }} name={device.userAgent} onDone={() => void devices.refetch()} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** The recovery codes, which all second factors share. */
function Recovery({ factor }: { factor: Schemas["SecondFactor"] }) {
  const t = useText();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const [codes, setCodes] = useState<readonly string[]>();
  const close = () => {
    setOpen(false);
    setCodes(undefined);
    void client.invalidateQueries();
  };
  const renew = async () => setCodes((await read(api.POST("/api/v1/auth/recovery-codes"))).data.recoveryCodes);
  return (
    <>
      <p>{t("A second factor protects your account.")} {t("Added")} <Time value={factor.createTime} />.</p>
      <p>{t("Recovery codes left: {count}", { count: factor.recoveryCodesLeft })} <button type="button" onClick={() => setOpen(true)}>{t("New recovery codes")}</button></p>
      {factor.resetTime !== undefined && <p className="notice" role="status">{t("An admin has reset the second factor. It will be removed:")} <Time value={factor.resetTime} /></p>}
      {open && !codes && (
        <Confirm title={t("New recovery codes")} action={t("Replace")} onConfirm={renew} onClose={() => setOpen(false)}><p>{t("The codes from before are no longer valid.")}</p></Confirm>
      )}
      {codes && <Sheet title={t("New recovery codes")} onClose={close}><RecoveryCodes codes={codes} onDone={close} /></Sheet>}
    </>
  );
}
