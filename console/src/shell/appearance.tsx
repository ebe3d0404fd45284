/** The choice of theme and language. */

import { useState } from "react";

import { setLanguage, useLanguage, useText } from "../text";

const KEY = "mainstay-theme";
type Theme = "system" | "light" | "dark";

function apply(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

function kept(): Theme {
  const theme = localStorage.getItem(KEY);
  return theme === "light" || theme === "dark" ? theme : "system";
}

apply(kept());

export function Appearance() {
  const t = useText();
  const language = useLanguage();
  const [theme, setTheme] = useState(kept);
  const choose = (next: Theme) => {
    localStorage.setItem(KEY, next);
    apply(next);
    setTheme(next);
  };
  return (
    <div className="appearance">
      <select aria-label={t("Theme")} value={theme} onChange={(event) => choose(event.target.value as Theme)}>
        <option value="system">{t("System")}</option>
        <option value="light">{t("Light")}</option>
        <option value="dark">{t("Dark")}</option>
      </select>
      <select aria-label={t("Language")} value={language} onChange={(event) => void setLanguage(event.target.value === "de" ? "de" : "en").catch(() => undefined)}>
        <option value="en">English</option>
        <option value="de">Deutsch</option>
      </select>
    </div>
  );
}
