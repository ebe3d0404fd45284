/** The state that is restored when an agent returns from a ticket to the list. */

import { useKept } from "../../ui/kept";
import type { Ticket } from "./api";
import type { TicketSearch } from "./filters";

const NONE: ReadonlyMap<string, Ticket> = new Map();
const EVERYTHING: TicketSearch = {};

/** The selected tickets, by their ids. */
export const useChosen = () => useKept("tickets.chosen", NONE);

/** The filters of the list. */
export const useLastSearch = () => useKept("tickets.search", EVERYTHING);
