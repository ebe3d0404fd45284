/** State of a page that is kept when the user leaves and returns, until the sign-out. */

import { createContext, useContext, useState } from "react";

export const KeptContext = createContext(new Map<string, unknown>());

/** The same as `useState`; all uses of a name must have the same `initial`. */
export function useKept<T>(name: string, initial: T): [T, (next: T) => void] {
  const kept = useContext(KeptContext);
  const [value, setValue] = useState(() => (kept.has(name) ? (kept.get(name) as T) : initial));
  const keep = (next: T) => {
    kept.set(name, next);
    setValue(next);
  };
  return [value, keep];
}
