/** The reason for which a sign-in with a provider failed. It is loaded only after one. */

import { useText, type Text } from "../text";

export default function ArrivalProblem({ reason }: { reason: string }) {
  const t = useText();
  return <p className="problem" role="alert">{t(textOf(reason))}</p>;
}

function textOf(reason: string): Text {
  switch (reason) {
    case "ALREADY_EXISTS": return "A user has this address. Sign in with the password, and link the provider under “Sign-in and security”.";
    case "REGISTRATION_CLOSED": return "Your address may not register here, or the provider does not confirm it.";
    case "ADDRESS_OF_ANOTHER_DOMAIN": return "The provider of your company names no address in a domain that the company has proved.";
    case "NO_ACCOUNT_TO_JOIN": return "You were removed from the account. An invitation admits you again.";
    case "USER_DEACTIVATED": return "The user was deactivated by an admin.";
    case "PERMISSION_DENIED": return "The provider refused the sign-in.";
    case "INVALID_TOKEN": return "It took too long. Sign in again.";
    default: return "The sign-in with the provider failed. Try again.";
  }
}
