/** The transfer of an account's ownership by an owner to another member. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, read } from "../../api/client";
import { useMay, type Membership } from "../../shell/user";
import { useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";

/** The maximum page size. */
const PAGE_SIZE = 100;

export function TransferOwnership({ membership }: { membership: Membership }) {
  const t = useText();
  const may = useMay();
  const [open, setOpen] = useState(false);
  if (membership.role !== "MEMBER_ROLE_OWNER" || !may("AccountService_TransferOwnership")) return null;
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>{t("Transfer the ownership")}</button>
      {open && <TransferSheet membership={membership} onClose={() => setOpen(false)} />}
    </>
  );
}

function TransferSheet({ membership: { accountId, memberId: own }, onClose }: { membership: Membership; onClose: () => void }) {
  const t = useText();
  const [memberId, setMemberId] = useState("");
  const { data: members = [] } = useQuery({
    queryKey: ["members", accountId, "latest"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/members", { params: { query: { accountId, pageSize: PAGE_SIZE } }, signal }))).data,
  });
  const send = (key: string) => {
    const params = { path: { accountId }, header: { "Idempotency-Key": key } };
    return read(api.POST("/api/v1/accounts/{accountId}/transfer", { params, body: { memberId } }));
  };
  return (
    <FormSheet title={t("Transfer the ownership")} action={t("Transfer")} danger request={memberId} valid={memberId !== ""} onSubmit={send} onClose={onClose}>
      <label>
        <span>{t("Next owner")}</span>
        <select required autoFocus value={memberId} onChange={(event) => setMemberId(event.target.value)}>
          <option value="">{t("Choose …")}</option>
          {members.filter(({ id }) => id !== own).map(({ id, name, email }) => <option key={id} value={id}>{`${name} · ${email}`}</option>)}
        </select>
      </label>
      <p className="warning">{t("This person becomes an owner of this account, and you become an admin. Only an owner can give the ownership back.")}</p>
    </FormSheet>
  );
}
