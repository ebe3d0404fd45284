/** The inputs of an operation's button and dialog. */

import type { Query } from "../api/client";
import type { Contract, Operation } from "../api/contract";
import type { Values } from "./fields";

export type OperationProps = {
  contract: Contract;
  operation: Operation;
  /** The variables of the path. */
  values: Query;
  initial?: Values;
  version?: string | undefined;
  /** The name of the resource that would be lost. */
  name?: string;
  label?: string;
  primary?: boolean;
  onDone?: (answer: unknown) => void;
};
