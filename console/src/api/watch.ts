/** Watches resources for changes while the page is visible. */

import { useEffect, useRef, useState } from "react";

import { asApiError } from "./errors";
import { events } from "./events";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
/** Errors that invalidate the resume token: the watch restarts, and the displayed data must be read again. */
const RESTART_CODES = new Set(["RESUME_TOKEN_EXPIRED", "WATCH_LAGGED", "VALIDATION_FAILED"]);

type Watch<T> = {
  /** The path of a stream, with its query; `undefined` watches nothing. */
  path: string | undefined;
  onItem: (item: T) => void;
  /** Called when changes may have been missed. */
  onGap: () => void;
  /** Called when the stream begins: data that was read before may lack a change. */
  onBegin: () => void;
};

/**
 * Watches while the page is visible, and resumes after the last item when the stream ends. A hidden page does not
 * watch, because a browser has few connections to one server for all its tabs. Returns whether the stream is open.
 */
export function useWatch<T>({ path, onItem, onGap, onBegin }: Watch<T>): boolean {
  const [open, setOpen] = useState(false);
  const handlers = useRef({ onItem, onGap, onBegin });
  useEffect(() => {
    handlers.current = { onItem, onGap, onBegin };
  });
  useEffect(() => {
    if (path === undefined) return undefined;
    let token = "";
    let running: AbortController | undefined;
    const start = () => {
      if (running) return;
      running = new AbortController();
      void follow(running.signal);
    };
    const stop = () => {
      running?.abort();
      running = undefined;
      setOpen(false);
    };
    const follow = async (signal: AbortSignal) => {
      for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
        try {
          for await (const { id, data } of events(path, token, signal)) {
            if (signal.aborted) return;
            if (token === "") handlers.current.onBegin();
            token = id || token;
            wait = FIRST_WAIT_MS;
            setOpen(true);
            handlers.current.onItem(JSON.parse(data) as T);
          }
        } catch (failure) {
          if (signal.aborted) return;
          const { status, code } = asApiError(failure);
          if (status === 403 || status === 404 || status === -1) break;
          if (RESTART_CODES.has(code)) {
            token = "";
            handlers.current.onGap();
          }
        }
        setOpen(false);
        await new Promise((done) => setTimeout(done, wait * (0.5 + Math.random() / 2)));
      }
      setOpen(false);
    };
    const onVisibility = () => (document.visibilityState === "visible" ? start() : stop());
    onVisibility();
    document.addEventListener("visibilitychange", onVisibility);
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      stop();
    };
  }, [path]);
  return open;
}
