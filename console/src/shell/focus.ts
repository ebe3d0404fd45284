/** Keeps the focus: when what has it is taken away, what takes its place has it, or what stands next to it. */

const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";

/** Whoever works by keyboard goes on where they were, instead of at the top of the page. */
export function keepFocus(root: HTMLElement): void {
  let last: HTMLElement | undefined;
  root.addEventListener("focusin", ({ target }) => {
    last = target instanceof HTMLElement ? target : undefined;
  });
  // A click on nothing gives the focus up.
  root.addEventListener("pointerdown", () => {
    last = undefined;
  });
  const goOn = (records: MutationRecord[]) => {
    if (last && !last.isConnected) last = heir(records, last, root);
    // Not behind a dialog; and a button that is disabled while it works has the focus again afterwards.
    if (last && document.activeElement === document.body && !last.closest("[inert], [aria-hidden=true]")) last.focus({ preventScroll: true });
  };
  new MutationObserver(goOn).observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled", "inert", "aria-hidden"] });
}

/** What has the focus after an element that is gone. */
function heir(records: readonly MutationRecord[], lost: Element, root: Element): HTMLElement | undefined {
  for (const { target, removedNodes, nextSibling, previousSibling } of records) {
    const gone = [...removedNodes].find((node) => node.contains(lost));
    if (!(gone instanceof Element) || !(target instanceof Element)) continue;
    // Where only some of the rows are in the document, one that leaves it is out of sight, and not gone.
    if (target.closest("[aria-rowcount]")) return undefined;
    if (!target.isConnected) return heir(records, target, root);
    const place = focusable(gone).findIndex((one) => one === lost);
    return near(target, nextSibling, previousSibling, place, root);
  }
  return undefined;
}

/** The same place in what follows, else what comes before it; from there outwards. */
function near(parent: Element, next: Node | null, previous: Node | null, place: number, root: Element): HTMLElement | undefined {
  const after = seen(next);
  const found = after[place] ?? after.at(-1) ?? seen(previous).at(-1);
  if (found) return found;
  if (parent === root) return seen(root)[0];
  if (parent instanceof HTMLElement && parent.matches(FOCUSABLE)) return parent;
  return parent.parentElement ? near(parent.parentElement, parent.nextElementSibling, parent.previousElementSibling, 0, root) : undefined;
}

function focusable(element: Element): HTMLElement[] {
  return [element, ...element.querySelectorAll("*")].filter((one): one is HTMLElement => one instanceof HTMLElement && one.matches(FOCUSABLE));
}

function seen(node: Node | null): HTMLElement[] {
  return node instanceof Element && node.isConnected ? focusable(node).filter((one) => one.checkVisibility()) : [];
}
