import { useText } from "../../text";
import { PageFrame } from "../../ui/page";
import { NewAccount } from "./new-account";

/** The page of a person who is a member of no account. */
export function NoAccount() {
  const t = useText();
  return (
    <PageFrame title={t("No account")} actions={<NewAccount />}>
      <p className="lead">{t("You are not a member of an account. Open the link in the mail of an invitation, or create an account of your own.")}</p>
    </PageFrame>
  );
}
