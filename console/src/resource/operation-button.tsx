/** A button for an operation of the contract. Its dialog's code is loaded on first use. */

import { lazy, Suspense, useState } from "react";

import { useName } from "../text";
import type { OperationProps } from "./operation";

const OperationSheet = lazy(() => import("./operation-sheet"));

export function OperationButton(props: OperationProps) {
  const [open, setOpen] = useState(false);
  const { operation, primary = false } = props;
  const kind = operation.method === "delete" ? "danger" : primary ? "primary" : undefined;
  const name = useName();
  const label = props.label ?? name(operation.label);
  return (
    <>
      <button type="button" className={kind} onClick={() => setOpen(true)}>{label}</button>
      {open && <Suspense><OperationSheet {...props} label={label} onClose={() => setOpen(false)} /></Suspense>}
    </>
  );
}
