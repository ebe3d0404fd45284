/** State of a page that is still there when the user comes back to it, until they sign out. */

import { createContext, useContext, useState } from "react";

export const KeptContext = createContext(new Map<string, unknown>());

/** As `useState`; `initial` always comes with this name. */
export function useKept<T>(name: string, initial: T): [T, (next: T) => void] {
  const kept = useContext(KeptContext);
  const [value, setValue] = useState(() => (kept.has(name) ? (kept.get(name) as T) : initial));
  const keep = (next: T) => {
    kept.set(name, next);
    setValue(next);
  };
  return [value, keep];
}
