/** The first page. */

import { useUser } from "../shell/user";
import { useText } from "../text";
import { PageFrame } from "../ui/page";

export function HomePage() {
  const t = useText();
  const user = useUser();
  return <PageFrame title={t("Hello, {name}", { name: user.name ?? "" })}><p /></PageFrame>;
}
