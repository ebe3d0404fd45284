/** What an agent finds as it was when they come back to the list from a ticket. */

import { useKept } from "../../ui/kept";
import type { Ticket } from "./api";
import type { TicketSearch } from "./filters";

const NONE: ReadonlyMap<string, Ticket> = new Map();
const EVERYTHING: TicketSearch = {};

/** The tickets that are selected, by their ids. */
export const useChosen = () => useKept("tickets.chosen", NONE);

/** The filters of the list. */
export const useLastSearch = () => useKept("tickets.search", EVERYTHING);
